"""Streams about runs that are looked at: what is told when, that they end with the house, and how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.journal import arrivals
from penstock.journal.arrivals import BEAT, HELLO, STEPS, Arrivals
from penstock.journal.service import JournalService
from penstock.kernel.errors import Overloaded
from penstock.kernel.journal import Run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def _one() -> int:
    return 1


async def work(run: Run, _: Any) -> Any:
    await run.step("one", _one)
    await run.wait("go")
    return await run.step("two", _one)


async def waiting(journal: JournalService, name: str) -> str:
    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    while not await journal.history(None, run):
        await asyncio.sleep(0.01)
    return run


async def following(stream: AsyncIterator[bytes], wanted: bytes) -> None:
    """Read on to an event."""
    async with asyncio.timeout(50):
        while await anext(stream) != wanted:
            pass


async def test_steps_states_and_the_end_are_told(journal: JournalService) -> None:
    run = await waiting(journal, "told")
    watched = Arrivals(journal, beat=0.05, look=0.02)
    stream = watched.watch("org", run, 1)
    assert await anext(stream) == HELLO
    await following(stream, BEAT)
    await journal.pause(None, run)
    await following(stream, STEPS)
    await journal.resume(None, run)
    await following(stream, STEPS)
    await journal.signal(None, run, "go", 1)
    await journal.result(None, run, 30)
    await following(stream, STEPS)
    await following(stream, BEAT)  # and is not hung up on
    await watched.drain(1)
    async with asyncio.timeout(50):
        assert [event async for event in stream if event not in (BEAT, STEPS)] == []
    assert watched.watching == 0


async def test_what_was_seen_before_is_not_told_again(journal: JournalService) -> None:
    run = await waiting(journal, "seen")
    watched = Arrivals(journal, beat=0.05, look=0.02)
    first, later = watched.watch("org", run, 0), watched.watch("org", run, 1)
    assert [await anext(first), await anext(later)] == [HELLO, HELLO]
    await following(first, STEPS)
    assert await anext(later) == BEAT
    await journal.cancel(None, run)
    await following(later, STEPS)
    await watched.drain(1)
    for stream in (first, later):
        assert [event async for event in stream if event not in (BEAT, STEPS)] == []


async def test_what_happens_while_a_beat_is_sent_is_told(journal: JournalService) -> None:
    run = await waiting(journal, "between")
    watched = Arrivals(journal, beat=0.05, look=0.02)
    stream = watched.watch("org", run, 1)
    await following(stream, BEAT)
    await journal.cancel(None, run)  # the beat is still under way: nobody reads on until long after
    async with asyncio.timeout(50):
        while any(getattr(task.get_coro(), "__name__", "") == "_follow" for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
    await following(stream, STEPS)
    await watched.drain(1)
    assert [event async for event in stream if event not in (BEAT, STEPS)] == []


async def test_only_so_many_may_look(journal: JournalService, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await waiting(journal, "crowded")
    monkeypatch.setattr(arrivals, "MOST_WATCHERS", 1)
    watched = Arrivals(journal, beat=0.05)
    stream = watched.watch("org", run, 0)
    await anext(stream)
    with pytest.raises(Overloaded):
        watched.watch("org", run, 0)
    await watched.drain(1)
    assert [event async for event in stream if event not in (BEAT, STEPS)] == []
    await journal.cancel(None, run)
