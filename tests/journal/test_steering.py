"""Runs that are forked, paused, resumed and cancelled at the same time, and whose words cannot be written, on each engine."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from penstock.journal import engine as engine_module
from penstock.journal.service import JournalService
from penstock.kernel.errors import Conflict, NotFound, RequestError, StepFailed
from penstock.kernel.journal import Run, RunFilter, RunState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

_names = itertools.count()


async def standing(journal: JournalService, run: str, *states: RunState) -> RunState:
    while (state := (await journal.get(None, run)).state) not in states:
        await asyncio.sleep(0.01)
    return state


async def waiting(journal: JournalService) -> tuple[str, list[str]]:
    """A run that waits for ``go``, and who executed it."""
    name, executed = f"waits-{next(_names)}", list[str]()

    async def work(run: Run, _: Any) -> Any:
        executed.append(run.id)
        return await run.wait("go")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    await standing(journal, run, RunState.RUNNING)
    return run, executed


async def test_a_fork_of_a_paused_run_is_not_paused_and_can_be_cancelled(journal: JournalService) -> None:
    run, _ = await waiting(journal)
    await journal.pause(None, run)
    made = await journal.fork(None, run, 1, by=("person_1",))
    await standing(journal, made, RunState.RUNNING)
    await journal.cancel(None, made)
    assert (await journal.get(None, made)).state is RunState.CANCELLED
    with pytest.raises(StepFailed):
        await journal.result(None, made, 5)
    assert (await journal.get(None, run)).state is RunState.PAUSED
    await journal.cancel(None, run)


async def test_who_forked_a_run_is_known_from_its_first_moment(journal: JournalService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had it forked may not approve what it does, so there must be no moment at which that is not known."""
    run, _ = await waiting(journal)
    engine = await journal.begin()
    before = engine.system.fork_workflow

    def dies(*args: Any, **named: Any) -> Any:
        before(*args, **named)
        raise RuntimeError("killed")

    monkeypatch.setattr(engine.system, "fork_workflow", dies)
    with pytest.raises(RuntimeError, match="killed"):
        await journal.fork(None, run, 1, by=("person_1",))
    monkeypatch.undo()
    found = [one for one in await journal.list(None, RunFilter(limit=100)) if one.forked_from == run]
    assert [one.forked_by for one in found] == [("person_1",)]
    for one in (found[0].id, run):
        await journal.cancel(None, one)


async def test_of_two_who_resume_a_run_one_does(journal: JournalService) -> None:
    """Both saw it paused. Taken up a second time, it would be executed twice at once."""
    run, executed = await waiting(journal)
    await journal.pause(None, run)
    engine = await journal.begin()
    await asyncio.to_thread(engine.resume, run, None)
    await standing(journal, run, RunState.RUNNING)
    while executed.count(run) < 2:
        await asyncio.sleep(0.01)
    owner = _owner(engine, run)
    await asyncio.to_thread(engine.resume, run, None)
    assert _owner(engine, run) == owner
    await journal.signal(None, run, "go", 1)
    assert await journal.result(None, run, 10) == 1
    assert executed.count(run) == 2


async def test_a_pause_that_comes_too_late_leaves_a_cancelled_run_cancelled(journal: JournalService) -> None:
    run, _ = await waiting(journal)
    engine = await journal.begin()
    await journal.cancel(None, run)
    await asyncio.to_thread(engine.pause, run)  # as whoever saw it run would
    assert (await journal.get(None, run)).state is RunState.CANCELLED


async def test_a_run_whose_pause_was_cut_short_can_be_cancelled(journal: JournalService, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = await waiting(journal)
    engine = await journal.begin()

    def dies(*_: Any, **__: Any) -> Any:
        raise RuntimeError("killed")

    monkeypatch.setattr(engine.system, "cancel_workflows", dies)
    with pytest.raises(RuntimeError, match="killed"):
        await journal.pause(None, run)
    monkeypatch.undo()
    await journal.cancel(None, run)
    assert (await journal.get(None, run)).state is RunState.CANCELLED


async def test_pauses_resumes_and_cancels_at_once_end_in_one_state(journal: JournalService) -> None:
    for _ in range(5):
        run, _ = await waiting(journal)
        gate = threading.Barrier(2)
        engine = await journal.begin()

        def at_once(act: Any, run: str = run, gate: threading.Barrier = gate) -> None:
            gate.wait(5)
            act(run)

        await asyncio.gather(asyncio.to_thread(at_once, engine.cancel), asyncio.to_thread(at_once, engine.pause))
        assert (await journal.get(None, run)).state is RunState.CANCELLED


async def test_what_cannot_be_written_as_text_fails_the_run_and_says_so(journal: JournalService) -> None:
    """Names of files that are no UTF-8 come as lone surrogates, also in the words of exceptions."""
    name = f"surrogates-{next(_names)}"

    async def step() -> Any:
        raise FileNotFoundError("no such file: caf\udce9.txt")

    async def work(run: Run, given: Any) -> Any:
        if given == "step":
            await run.step("open", step)
        raise ValueError("no such file: caf\udce9.txt")

    journal.define(name, work)
    for given in ("run", "step"):
        run = await journal.start(name, given, organisation="org")
        with pytest.raises(StepFailed, match="no such file: caf") as caught:
            await journal.result(None, run, 5)
        assert caught.value.kind == ("ValueError" if given == "run" else "FileNotFoundError")
        assert (await journal.get(None, run)).state is RunState.FAILED


async def test_a_database_that_is_away_when_a_run_begins_does_not_fail_it(journal: JournalService, monkeypatch: pytest.MonkeyPatch) -> None:
    name, asked, before = f"away-{next(_names)}", list[str](), engine_module.kept_of

    def away(system: Any, id: str) -> Any:
        asked.append(id)
        if len(asked) == 1:
            raise OperationalError("SELECT", None, psycopg.OperationalError("connection failed"))
        return before(system, id)

    async def work(run: Run, given: Any) -> Any:
        return given

    monkeypatch.setattr(engine_module, "kept_of", away)
    journal.define(name, work)
    run = await journal.start(name, 7, organisation="org")
    assert await journal.result(None, run, 10) == 7
    assert asked == [run, run]


async def test_a_signal_to_a_name_that_no_database_holds_is_refused(journal: JournalService) -> None:
    run, _ = await waiting(journal)
    with pytest.raises(RequestError, match="topic"):
        await journal.signal(None, run, "a\0b", 1)
    with pytest.raises(NotFound):
        await journal.get(None, "run_\0")
    assert await journal.list(None, RunFilter(name="a\0b")) == []
    with pytest.raises(Conflict):
        await journal.resume(None, run)
    await journal.cancel(None, run)


def _owner(engine: Any, run: str) -> Any:
    table = engine.system.tables.workflow_status
    with engine.system.engine.connect() as connection:
        return connection.execute(sa.select(table.c.status, table.c.owner_xid).where(table.c.workflow_uuid == run)).one()
