"""Questions about runs, on each engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.journal.service import JournalService
from penstock.kernel.journal import Run, RunFilter, RunState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def test_lists_are_paged_newest_first(journal: JournalService) -> None:
    name = "many"

    async def work(run: Run, _: Any) -> Any:
        return None

    journal.define(name, work)
    runs = [await journal.start(name, organisation="org") for _ in range(7)]
    seen: list[str] = []
    before: str | None = None
    while page := await journal.list("org", RunFilter(name=name, before=before, limit=3)):
        seen.extend(r.id for r in page)
        before = page[-1].id
    assert seen == runs[::-1]
    await asyncio.gather(*(journal.result(None, r, 10) for r in runs))
    assert {r.id for r in await journal.list("org", RunFilter(name=name, state=RunState.DONE))} == set(runs)


async def test_a_name_is_taken_as_it_is(journal: JournalService) -> None:
    async def work(run: Run, _: Any) -> Any:
        return None

    journal.define("a_b", work)
    journal.define("axb", work)
    run = await journal.start("a_b", organisation="org")
    await journal.start("axb", organisation="org")
    assert [r.id for r in await journal.list("org", RunFilter(name="a_b"))] == [run]
    assert not await journal.list("org", RunFilter(name="a"))


async def test_a_wait_that_goes_on_is_shown_without_an_end(journal: JournalService) -> None:
    async def work(run: Run, _: Any) -> Any:
        await run.sleep(0.01)
        await run.wait("go", 3600)
        return 1

    journal.define("waiting", work)
    run = await journal.start("waiting", organisation="org")
    while len(await journal.history(None, run)) < 2:
        await asyncio.sleep(0.01)
    slept, waits = await journal.history(None, run)
    assert (slept.kind, waits.kind, waits.number, waits.ended_at) == ("sleep", "wait", 2, None)
    await journal.signal(None, run, "go", {"by": "me"})
    await journal.result(None, run, 10)
    assert [(s.number, s.kind, s.output) for s in await journal.history(None, run)] == [(1, "sleep", None), (2, "wait", {"by": "me"})]
