"""Facts reach the house once, after the journal has them, and only where somebody listens."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.journal.facts import Facts, Kept
from penstock.journal.terms import Definition
from penstock.kernel.events import Events, RunEnded

KEPT = Kept("org", {"a": "b"}, 100.0, 2, None)


async def nothing(run: Any, input: Any) -> None:
    """A run of which only the end matters."""


async def test_an_end_is_told_once_and_only_when_it_is_journalled() -> None:
    events, heard, woken = Events(), list[RunEnded](), list[str]()
    events.subscribe(RunEnded, heard.append)
    facts = Facts(asyncio.get_running_loop(), events, woken.append)
    facts.note(Definition("work", 3, nothing), "run_1", KEPT, ValueError("it broke"))
    await asyncio.sleep(0)
    assert heard == []
    await asyncio.to_thread(facts.ended, "run_1")
    facts.ended("run_1")
    while not heard:
        await asyncio.sleep(0)
    (told,) = heard
    assert (told.name, told.version, told.state, told.error_kind, told.error) == ("work", 3, "failed", "ValueError", "it broke")
    assert (told.organisation, told.labels, told.created_at, told.executions) == ("org", {"a": "b"}, 100.0, 2)
    assert woken == ["run_1", "run_1"]


async def test_an_execution_that_was_broken_off_leaves_nothing() -> None:
    events, heard = Events(), list[RunEnded]()
    events.subscribe(RunEnded, heard.append)
    facts = Facts(asyncio.get_running_loop(), events, lambda run: None)
    facts.note(Definition("work", 1, nothing), "run_1", KEPT)
    facts.forget("run_1")
    facts.ended("run_1")
    await asyncio.sleep(0)
    assert heard == []


async def test_where_nobody_listens_nothing_is_noted() -> None:
    events, heard = Events(), list[RunEnded]()
    facts = Facts(asyncio.get_running_loop(), events, lambda run: None)
    facts.note(Definition("work", 1, nothing), "run_1", KEPT)
    events.subscribe(RunEnded, heard.append)
    facts.ended("run_1")
    await asyncio.sleep(0)
    assert heard == []
