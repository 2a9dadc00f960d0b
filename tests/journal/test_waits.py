"""What running runs wait for: told of each, and asked for, on each engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import pytest
import pytest_asyncio

from penstock.journal.service import JournalService
from penstock.journal.waiting import Waits
from penstock.kernel.journal import Run, RunFilter, RunInfo, RunState
from penstock.kernel.waits import Wait

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


class Room:
    """A room that knows of people and events."""

    def __init__(self) -> None:
        self.known: dict[str, list[Wait]] = {}

    async def waits(self, runs: Sequence[str]) -> Mapping[str, Sequence[Wait]]:
        return {run: self.known[run] for run in runs if run in self.known}

    async def waiting(self, reach: str | None, kind: Literal["people", "event"], most: int) -> Sequence[str]:
        return [run for run, waits in self.known.items() if any(wait.kind == kind for wait in waits)]


class Place:
    def __init__(self, journal: JournalService) -> None:
        self.journal = journal
        self.room = Room()
        self.waits = Waits(journal, lambda: self.room)
        self.runs: dict[str, str] = {}

    async def one(self, run: str) -> tuple[Wait, ...]:
        (told,) = await self.waits.of([await self.journal.get(None, run)])
        return told.waits

    async def found(self, kind: Any, **terms: Any) -> list[str]:
        names = {run: name for name, run in self.runs.items()}
        return [names[run.id] for run in await self.waits.list("org", RunFilter(**terms), kind)]


async def _sleeps(run: Run, seconds: float) -> Any:
    await run.sleep(0.01)  # is over, and waited for no more
    await run.sleep(seconds)


async def _receives(run: Run, timeout: float | None) -> Any:
    await run.wait("first", None)
    return await run.wait("second", timeout)


async def _both(run: Run, _: Any) -> Any:
    return await asyncio.gather(run.wait("a", 3600.0), run.sleep(3600.0))


async def _works(run: Run, _: Any) -> Any:
    await run.sleep(0.01)
    await run.step("long", _forever)


async def _forever() -> None:
    await asyncio.Event().wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stands(journal: JournalService) -> AsyncIterator[Place]:
    for name, function in (("sleeps", _sleeps), ("receives", _receives), ("both", _both), ("works", _works)):
        journal.define(name, function)
    made = Place(journal)
    for name, run, given in (
        ("sleeper", "sleeps", 3600.0),
        ("person", "receives", 3600.0),
        ("event", "receives", 3600.0),
        ("signal", "receives", 3600.0),
        ("endless", "receives", None),
        ("both", "both", None),
        ("busy", "works", None),
    ):
        made.runs[name] = await journal.start(run, given, organisation="org")
        if run == "receives":
            await journal.signal("org", made.runs[name], "first", 1)
    made.room.known = {
        made.runs["person"]: [Wait(kind="people", name="refund", since=1.0, until=2.0)],
        made.runs["event"]: [Wait(kind="event", name="paid", since=1.0)],
    }
    enough = {"sleeper": 2, "person": 2, "event": 2, "signal": 2, "endless": 2, "both": 2, "busy": 1}
    for name, steps in enough.items():
        while len(await journal.history("org", made.runs[name])) < steps:
            await asyncio.sleep(0.01)
    yield made
    for run in made.runs.values():
        if (await journal.get("org", run)).state is RunState.RUNNING:
            await journal.cancel("org", run)


async def test_each_is_told_with_what_it_waits_for(stands: Place) -> None:
    now = time.time()
    (sleep,) = await stands.one(stands.runs["sleeper"])
    assert (sleep.kind, 3000 < (sleep.until or 0) - now < 3600.5, now - 60 < (sleep.since or 0) <= now) == ("time", True, True)
    (signal,) = await stands.one(stands.runs["signal"])
    assert (signal.kind, 3000 < (signal.until or 0) - now < 3600.5) == ("signal", True)
    (endless,) = await stands.one(stands.runs["endless"])
    assert (endless.kind, endless.until) == ("signal", None)
    assert [wait.kind for wait in await stands.one(stands.runs["both"])] == ["signal", "time"]
    assert await stands.one(stands.runs["busy"]) == ()
    # What a room knows of stands in place of the signal that it is to the journal.
    assert await stands.one(stands.runs["person"]) == (Wait(kind="people", name="refund", since=1.0, until=2.0),)
    assert await stands.one(stands.runs["event"]) == (Wait(kind="event", name="paid", since=1.0),)


async def test_they_are_asked_for_by_what_they_wait_for(stands: Place) -> None:
    assert await stands.found("time") == ["both", "sleeper"]
    assert await stands.found("people") == ["person"]
    assert await stands.found("event") == ["event"]
    assert await stands.found("signal") == ["both", "endless", "signal"]
    assert await stands.found("any") == ["both", "endless", "signal", "event", "person", "sleeper"]
    assert await stands.found("people", name="sleeps") == []
    assert await stands.found("any", limit=2) == ["both", "endless"]
    assert await stands.found("any", limit=2, before=stands.runs["endless"]) == ["signal", "event"]
    assert len(await stands.found(None)) == 7
    assert await Waits(stands.journal, lambda: None).list("org", RunFilter(), "people") == []
    assert await stands.waits.list("elsewhere", RunFilter(), "any") == []


async def test_what_is_over_is_waited_for_no_more(stands: Place) -> None:
    run = stands.runs["signal"]
    await stands.journal.signal("org", run, "second", 1)
    await stands.journal.result("org", run, 20)
    assert await stands.one(run) == ()
    paused = stands.runs["endless"]
    await stands.journal.pause("org", paused)
    assert await stands.one(paused) == ()
    assert await stands.found("signal") == ["both"]
    await stands.journal.resume("org", paused)


async def test_nothing_is_asked_where_nothing_runs(journal: JournalService) -> None:
    class Never:
        async def waits(self, runs: Sequence[str]) -> Any:
            raise AssertionError(runs)

    assert await Waits(journal, lambda: Never()).of(list[RunInfo]()) == []  # type: ignore[arg-type, return-value]
