"""Processes that work on an agent are killed again and again: it ends all the same, and nothing happens twice that must not."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.agents.drill import Drill
from tests.agents.work import ROUNDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def worked(folder: Path, seconds: float | None) -> bool:
    """Let a process work, and kill it ``seconds`` after it has begun; whether it ended by itself before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.agents.work", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    begun = await process.stdout.readline()
    ended = asyncio.create_task(process.communicate())
    await asyncio.wait([ended], timeout=seconds)
    if killed := not ended.done():
        process.kill()
    _, said = await ended
    assert begun == b"working\n", said.decode()
    assert killed or process.returncode == 0, said.decode()
    return not killed


async def test_an_agent_ends_whatever_is_killed(tmp_path: Path) -> None:
    chance, kills = random.Random(7), 0
    while kills < 4 and not await worked(tmp_path, chance.uniform(0.0, 0.25)):
        kills += 1
    assert kills
    if not (tmp_path / "ended.json").exists():
        assert await worked(tmp_path, None)
    told = json.loads((tmp_path / "ended.json").read_bytes())
    assert (told["ended"]["state"], told["ended"]["output"]) == ("done", "done")
    happened = Counter(line.split()[-1] for line in (tmp_path / "world").read_text().splitlines())
    assert max(happened.values()) == 1
    effects = {line["key"]: line for line in told["effects"]}
    assert Counter(line["tool"] for line in effects.values()) == {"book": ROUNDS, "send": ROUNDS}
    for key, line in effects.items():
        # A system that honours keys leaves nothing in doubt; what nobody can ask is done, or said to be in doubt, and nothing else.
        assert line["state"] == "done" or (line["tool"], line["state"]) == ("send", "in_doubt"), line
        assert key in happened or line["state"] == "in_doubt"
    assert sorted(told["ended"].get("in_doubt", [])) == sorted(key for key, line in effects.items() if line["state"] == "in_doubt")


async def test_many_agents_at_once_do_each_thing_once_and_say_what_nobody_can_know(tmp_path: Path) -> None:
    """`make agents-drill` in small: a world of its own that counts, tools that honour keys, can be asked, or neither."""
    drill = Drill(tmp_path, "", ["plain:8"], world=sys.executable, seed=3, longest=0.5, at_once=8, think=0.2)
    report = await drill.go(most=2)
    assert (report.right, report.wrong) == (8, [])
    assert set(report.duplicates.values()) == {0}
    assert (report.missed, report.false) == ([], [])
    assert report.kills_a_task >= 1
    assert report.effects == 8 * 8
