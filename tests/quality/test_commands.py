"""``penstock evaluate`` and ``penstock quality`` against a running house."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.batches.house import jsonl
from tests.house import House
from tests.quality.house import item, quality_house
from typer import Typer
from typer.testing import CliRunner

from penstock.kernel.errors import PenstockError
from penstock.quality.commands import app, evaluate

pytestmark = pytest.mark.timeout(90)


async def process(house: House, *words: str) -> tuple[int, str]:
    """Exit code and output of a ``penstock`` of its own, which takes a second or more to start."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", *words, "--running", house.url),
        env={"PENSTOCK_KEY": house.admin, "PYTHONPATH": ":".join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def command(house: House, *words: str) -> tuple[int, str]:
    """Exit code and output of a command that is run here."""
    line = Typer(pretty_exceptions_enable=False)
    line.command()(evaluate)
    line.add_typer(app, name="quality")
    done = await asyncio.to_thread(CliRunner().invoke, line, [*words, "--running", house.url], env={"PENSTOCK_KEY": house.admin})
    fault = done.exception
    if isinstance(fault, PenstockError):  # as `penstock.cli.main` tells it
        return 1, f"{done.output}{fault.message} [{fault.code}]"
    assert fault is None or isinstance(fault, SystemExit), fault
    return done.exit_code, done.output


async def test_a_file_is_evaluated_and_its_results_are_printed(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = lambda model, messages: messages[-1]["content"] if model == "m" or "x" in messages[-1]["content"] else "no"
        file = tmp_path / "my set.jsonl"
        file.write_bytes(jsonl(*(item(f"{kind}{n}") for n in range(10) for kind in ("x", "y"))))
        code, said = await process(house, "evaluate", "--dataset", str(file), "--candidates", "up/m,up/s", "--judge", "exact")
        assert code == 0, said
        id, *lines = said.splitlines()
        assert lines[-4].split()[:2] == ["candidate", "mean"]
        assert [row.split()[:2] for row in lines[-3:-1]] == [["up/m", "1.000"], ["up/s", "0.500"]]
        assert lines[-1].startswith("up/m - up/s: +0.500 (")
        assert (await house.ask("GET", "/v1/files")).json["data"] == []
        code, said = await command(house, "quality", "show", id)
        assert (code, said.split()[0]) == (0, "done")
        code, said = await command(house, "quality", "datasets")
        assert (code, "my set v1  20 items" in said) == (0, True)
        capped = ("evaluate", "--dataset", "my set", "--candidates", "up/m", "--judge", "exact", "--cap", "0")
        assert (await command(house, *capped))[0] == 0  # all of it was paid before
        file.write_bytes(jsonl(item("new")))
        code, said = await command(house, "quality", "upload", str(file))
        assert (code, "my set v2  1 items" in said) == (0, True)
        code, said = await command(house, *capped)
        assert (code, "stopped" in said, "(cap)" in said) == (1, True, True)
        file.write_bytes(b"{\n")
        code, said = await process(house, "quality", "upload", str(file))
        assert (code, "line 1: not valid JSON" in said, "[dataset_refused]" in said) == (1, True, True)
