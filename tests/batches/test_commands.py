"""``penstock batches`` against a running house."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from tests.batches.house import batch_house, jsonl, line, until
from tests.house import House

pytestmark = pytest.mark.timeout(90)


async def command(house: House, *words: str, key: str | None = None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", "batches", *words, "--running", house.url),
        env={"PENSTOCK_KEY": house.admin if key is None else key, "PYTHONPATH": ":".join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_a_batch_is_made_followed_listed_and_its_results_saved(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _):
        file, saved = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        broken = line("broken")
        broken["body"]["model"] = "unknown"
        file.write_bytes(jsonl(*(line(f"r{i}") for i in range(5)), broken))
        code, said = await command(house, "create", str(file), "--follow")
        assert code == 0, said
        id, *lines = said.splitlines()
        assert lines[-2].startswith("completed   [########################] 6/6, 1 failed"), said
        assert lines[-1] == "1 failed with model_not_found"
        code, said = await command(house, "list")
        assert (code, said.split()[:2]) == (0, [id, "completed"])
        assert await command(house, "results", id, "--output", str(saved)) == (0, "")
        assert sorted(json.loads(each)["custom_id"] for each in saved.read_text().splitlines()) == [f"r{i}" for i in range(5)]
        code, said = await command(house, "results", id, "--errors")
        assert json.loads(said)["custom_id"] == "broken"
        code, said = await command(house, "cancel", id)
        assert (code, "[conflict]" in said) == (1, True)


async def test_what_is_wrong_is_told_and_is_the_exit_code(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, provider):
        file = tmp_path / "in.jsonl"
        file.write_bytes(b"{\n")
        code, said = await command(house, "create", str(file), "--follow")
        assert code == 1
        assert "line 1: the line is not valid JSON [invalid_json_line]" in said
        provider.held.clear()
        file.write_bytes(jsonl(line("a")))
        code, said = await command(house, "create", str(file))
        await until(lambda: provider.in_flight)
        code, said = await command(house, "cancel", said.strip())
        assert (code, said.split()[0]) == (0, "cancelling")
        provider.held.set()
        assert await command(house, "show", "batch_nowhere") == (1, "penstock: there is no batch 'batch_nowhere' [not_found]\n")
        code, said = await command(house, "list", key="psk_wrong")
        assert (code, "[invalid_api_key]" in said) == (1, True)
        code, said = await command(house, "list", key="")
        assert (code, "PENSTOCK_KEY" in said) == (1, True)
