"""``penstock tasks`` against a running house."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from tests.tasks.people import Rig, rig

pytestmark = pytest.mark.timeout(90)


async def command(house: Rig, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", *words, "--running", house.house.url),
        env={"PENSTOCK_KEY": house.house.admin, "PYTHONPATH": ":".join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_what_is_missing_is_told_and_is_the_exit_code(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        code, said = await command(house, "tasks", "check", "support.intent")
        assert code == 1
        assert re.search(r"support.intent: \d+ missing before it can be routed with proof", said)
        assert "FAIL  price of up/a: no price is known" in said
        assert "-> give one under [finops.prices.'up/a']" in said
        code, said = await command(house, "task", "check", "--json")
        assert (code, [one["task"] for one in json.loads(said)]) == (1, ["support.intent"])
        code, said = await command(house, "tasks", "check", "nobody")
        assert (code, "[not_found]" in said) == (1, True)
        assert (await command(house, "tasks", "list"))[1].split() == ["support.intent", "route", "support"]
        assert json.loads((await command(house, "tasks", "show", "support.intent"))[1])["shared"]


async def test_without_tasks_nothing_is_missing(tmp_path: Path) -> None:
    async with rig(tmp_path, "") as house:
        assert await command(house, "tasks", "check") == (0, "there is no task; docs/tasks.md shows how to declare one\n")
