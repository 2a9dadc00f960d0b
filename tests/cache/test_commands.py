from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.cache.serving import ask, caching_house, chat
from typer.testing import CliRunner

from penstock.cache.commands import app
from penstock.gateway.providers.minilm import installed
from penstock.kernel.errors import RequestError, Unauthenticated, Unavailable

pytestmark = pytest.mark.timeout(60)


async def run(house: Any, *words: str, key: str | None = None) -> tuple[int, str]:
    env = {"PENSTOCK_KEY": house.admin if key is None else key}
    done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--running", house.url], env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


async def test_stats_and_clearing(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, _):
        for _ in range(2):
            await ask(house, chat("a"), x_penstock_task="faq")
        status, said = await run(house, "stats")
        assert (status, said.splitlines()[0]) == (
            0, "faq: 2 lookups, 1 exact and 0 semantic hits (50.0%), about 0.000200 USD saved, 0 hits without a known price",
        )  # fmt: skip
        assert await run(house, "clear", "--task", "other") == (0, "0 replies forgotten\n")
        assert await run(house, "clear") == (0, "1 replies forgotten\n")
        with pytest.raises(Unauthenticated, match="not known"):
            await run(house, "stats", key="psk_wrong")


@pytest.mark.skipif(not installed(), reason="the embedding model is not installed")
async def test_calibrating_by_judged_pairs(tmp_path: Path) -> None:
    async with caching_house(tmp_path, '[[cache.rules]]\ntasks = ["faq"]\nsemantic = true\n') as (house, _):
        pairs = tmp_path / "judged.jsonl"
        lines = [f'{{"a": "where is card {n}", "b": "where is card {n} now", "same": true}}\n' for n in range(30)]
        pairs.write_text("".join(lines), "utf-8")
        status, said = await run(house, "calibrate", "faq", "--pairs", str(pairs), "--bound", "0.15")
        assert (status, "30 of 30 pairs would be hits, 0 of them false" in said, "In force." in said) == (0, True, True)
        status, said = await run(house, "calibrate", "faq")
        assert (status, said.startswith("no threshold from 0 pairs")) == (1, True)
        pairs.write_text('{"a": "x", "b": "y"}\n', "utf-8")
        with pytest.raises(RequestError, match=r"line 1: .*same"):
            await run(house, "calibrate", "faq", "--pairs", str(pairs))
        with pytest.raises(RequestError, match="No such file"):
            await run(house, "calibrate", "faq", "--pairs", str(tmp_path / "none"))


@pytest.mark.parametrize(("url", "fault"), [("ftp://x", RequestError), ("http://127.0.0.1:1", Unavailable)])
def test_an_address_without_a_penstock(url: str, fault: type[Exception]) -> None:
    done = CliRunner(env={"PENSTOCK_KEY": "psk_x"}).invoke(app, ["stats", "--running", url])
    assert isinstance(done.exception, fault)
