"""Watching runs: who is woken, what is told late, and what each engine gives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from penstock.journal.service import JournalService
from penstock.journal.watching import Mark, Watching
from penstock.kernel.errors import NotFound
from penstock.kernel.journal import Run, StepInfo

on_a_journal = pytest.mark.asyncio(loop_scope="module")


async def given(value: Any = None) -> Any:
    return value


class Journalled:
    """Steps as a database gives them."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.ended = False
        self.looked = asyncio.Event()

    async def since(self, moment: int) -> Sequence[Mark]:
        self.looked.set()
        return sorted(mark for mark in self.marks if mark.at >= moment)

    async def steps(self, numbers: Sequence[int]) -> Sequence[StepInfo]:
        return [StepInfo(number=n, kind="step", name=str(n), attempts=1, started_at=None, ended_at=None) for n in numbers if n != 99]

    async def over(self) -> bool:
        return self.ended


async def test_a_step_that_was_written_late_is_told_and_none_twice() -> None:
    watching, kept = Watching(60.0), Journalled()
    kept.marks = [Mark(5_000, 2)]
    steps = watching.watch("run", 0, kept.since, kept.steps, kept.over)
    assert (await anext(steps)).number == 2
    kept.marks += [Mark(4_000, 1), Mark(6_000, 99), Mark(7_000, 4)]
    assert [(await anext(steps)).number for _ in range(2)] == [1, 4]
    kept.ended = True
    assert [step async for step in steps] == []


async def test_who_watches_is_woken_from_any_thread_and_forgotten_when_they_go() -> None:
    watching, kept = Watching(60.0), Journalled()
    steps = watching.watch("run", 0, kept.since, kept.steps, kept.over)
    waiting = asyncio.create_task(anext(steps))
    await kept.looked.wait()
    kept.marks.append(Mark(1, 1))
    told = threading.Thread(target=watching.tell, args=("run",))
    told.start()
    assert (await waiting).number == 1
    await steps.aclose()
    assert not watching._waiting
    watching.tell("run")
    await asyncio.to_thread(told.join)


@on_a_journal
async def test_a_run_is_watched_while_it_works_and_again_from_any_step(journal: JournalService) -> None:
    name, below = "watched", "below"

    async def child(run: Run, input: Any) -> Any:
        return await run.step("inner", given, input)

    async def work(run: Run, input: Any) -> Any:
        await run.step("first", given, 1)
        told = await run.wait("go", timeout=60)
        await run.sleep(0.01)
        started = await run.child(below, told)
        return await started.result()

    journal.define(below, child)
    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    seen: list[tuple[int, str, Any]] = []
    async for step in journal.watch("org", run):
        seen.append((step.number, step.kind, step.output))
        if step.name == "first":
            await journal.signal("org", run, "go", "on")
    kinds = [kind for _, kind, _ in seen]
    assert kinds == ["step", "wait", "sleep", "child", "result"]
    assert seen[1][2] == "on"
    assert [s.number for s in await journal.history("org", run)] == [number for number, _, _ in seen]
    for place, (number, _, _) in enumerate(seen):
        later = [step.number async for step in journal.watch("org", run, after=number)]
        assert later == [n for n, _, _ in seen[place + 1 :]]
    with pytest.raises(NotFound):
        await anext(journal.watch("another", run))


@on_a_journal
async def test_steps_side_by_side_are_watched_as_they_complete(journal: JournalService) -> None:
    name = "beside"
    let = asyncio.Event()

    async def slow() -> str:
        await let.wait()
        return "slow"

    async def quick() -> str:
        return "quick"

    async def work(run: Run, input: Any) -> Any:
        return await asyncio.gather(run.step("slow", slow), run.step("quick", quick))

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    seen: list[int] = []
    async for step in journal.watch("org", run):
        seen.append(step.number)
        let.set()
    assert seen == [2, 1]
    assert [step.number async for step in journal.watch("org", run, after=2)] == [1]


@on_a_journal
async def test_watching_ends_when_a_run_is_paused(journal: JournalService) -> None:
    name = "paused"

    async def work(run: Run, input: Any) -> Any:
        await run.step("first", given)
        return await run.wait("never")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    seen: list[str] = []
    async for step in journal.watch("org", run):
        seen.append(step.name)
        await journal.pause("org", run)
    assert seen == ["first"]
    await journal.cancel("org", run)
