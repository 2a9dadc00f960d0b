"""Waiting for runs: one question for all, and none for those that end here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from penstock.journal.ended import Endings


class Runs:
    """Which have ended, and what was asked."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.asked: list[list[str]] = []

    def look(self, runs: Sequence[str]) -> Sequence[str]:
        self.asked.append(list(runs))
        return [run for run in runs if run in self.over]


async def test_one_that_has_ended_is_not_waited_for() -> None:
    runs = Runs()
    runs.over.add("a")
    await Endings(runs.look, 60).wait("a")
    assert runs.asked == [["a"]]


async def test_whoever_waits_is_woken_when_it_ends_here() -> None:
    runs = Runs()
    endings = Endings(runs.look, 60)
    waiting = [asyncio.create_task(endings.wait("a")) for _ in range(3)]
    while len(runs.asked) < 3:
        await asyncio.sleep(0)
    runs.over.add("a")
    await asyncio.to_thread(endings.tell, "a")
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_about_others_one_question_is_asked_for_all() -> None:
    runs = Runs()
    endings = Endings(runs.look, 0.02)
    waiting = [asyncio.create_task(endings.wait(f"r{i}")) for i in range(20)]
    while not any(len(asked) == 20 for asked in runs.asked):
        await asyncio.sleep(0.005)
    runs.over.update(f"r{i}" for i in range(20))
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_a_wake_up_before_its_time_is_slept_through() -> None:
    runs = Runs()
    endings = Endings(runs.look, 60)
    waiting = asyncio.create_task(endings.wait("a"))
    while not runs.asked:
        await asyncio.sleep(0)
    endings.tell("a")
    while len(runs.asked) < 2:
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("which", [1, 2, 3])
async def test_a_database_that_is_away_for_a_moment_fails_nobody_and_leaves_nobody_waiting(which: int) -> None:
    """What is waited for ended in another process, so nobody tells."""
    runs = Runs()

    def look(wanted: Sequence[str]) -> Sequence[str]:
        found = runs.look(wanted)
        if len(runs.asked) == which:
            raise OperationalError("SELECT", None, Exception("connection failed"))
        return found

    endings = Endings(look, 0.01)
    waiting = asyncio.create_task(endings.wait("a"))
    while len(runs.asked) < which:
        await asyncio.sleep(0.005)
    runs.over.add("a")
    await asyncio.wait_for(waiting, 5)
