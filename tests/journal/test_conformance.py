"""What `penstock.kernel.journal.Journal` promises, on each engine. Over 600 lines, because it is one suite of one protocol."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest

from penstock.journal.service import JournalService
from penstock.kernel.errors import Conflict, NotFound, RequestError, StepFailed
from penstock.kernel.journal import Queue, Rate, Retry, Run, RunFilter, RunState, StepInfo, StepKey, current_step

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

_names = itertools.count()


def fresh(what: str) -> str:
    return f"{what}-{next(_names)}"


async def journalled(journal: JournalService, run: str, steps: int = 1) -> None:
    while len(await journal.history(None, run)) < steps:
        await asyncio.sleep(0.01)


class Spy:
    """A step that tells when it was called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.called = asyncio.Event()

    @property
    def step(self) -> Any:
        async def call(value: Any = None) -> Any:
            self.calls.append(value)
            self.called.set()
            return value

        return call


async def test_steps_are_journalled_in_order_with_their_results(journal: JournalService) -> None:
    name = fresh("sum")
    keys: list[StepKey | None] = []

    async def double(x: int) -> int:
        keys.append(current_step.get())
        return 2 * x

    def triple(x: int) -> int:
        keys.append(current_step.get())
        return 3 * x

    async def work(run: Run, input: Any) -> Any:
        first = await run.step("double", double, input)
        return [first, await asyncio.gather(*(run.step("triple", triple, i) for i in range(4)))]

    journal.define(name, work)
    run = await journal.start(name, 4, organisation="org", labels={"task": "t"})
    assert await journal.result("org", run, 10) == [8, [0, 3, 6, 9]]
    steps = await journal.history("org", run)
    assert [(s.number, s.kind, s.name, s.output, s.attempts) for s in steps] == [
        (1, "step", "double", 8, 1),
        *((i + 2, "step", "triple", 3 * i, 1) for i in range(4)),
    ]
    told = await journal.get("org", run)
    assert (told.state, told.name, told.version, told.organisation, told.labels) == (RunState.DONE, name, 1, "org", {"task": "t"})
    assert told.ended_at is not None
    first = keys[0]
    assert first is not None
    assert (first.run, first.number, first.text, first.trace_id) == (run, 1, f"{run}/1", told.trace_id)
    assert len({k.span_id for k in keys if k}) == 5


async def test_what_a_step_raises_is_seen_the_same_the_first_time_and_later(journal: JournalService) -> None:
    name, tries = fresh("fails"), Spy()
    seen: list[tuple[str, str, str]] = []

    async def broken() -> None:
        await tries.step()
        raise KeyError("psk_abcdefghijklmnopqrstuvwxyz0123456789")

    async def work(run: Run, _: Any) -> Any:
        try:
            await run.step("broken", broken, retry=Retry(attempts=3, first_seconds=0.001))
        except StepFailed as fault:
            seen.append((type(fault).__name__, fault.kind, fault.message))
        return await run.wait("go")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    await journalled(journal, run)
    await journal.pause(None, run)
    await journal.resume(None, run)
    await journal.signal(None, run, "go", 7)
    assert await journal.result(None, run, 10) == 7
    assert len(tries.calls) == 3
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0][:2] == ("StepFailed", "KeyError")
    assert "psk_abcdef" not in seen[0][2]
    step = (await journal.history(None, run))[0]
    assert step.attempts == 3
    assert step.error is not None
    assert step.error.startswith("KeyError")


async def test_a_run_that_raises_has_failed_and_says_why(journal: JournalService) -> None:
    name = fresh("raises")

    async def work(run: Run, _: Any) -> Any:
        raise Conflict("already taken")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    with pytest.raises(StepFailed, match="already taken") as caught:
        await journal.result(None, run, 10)
    assert (caught.value.kind, caught.value.step_code) == ("Conflict", "conflict")
    told = await journal.get(None, run)
    assert (told.state, told.error) == (RunState.FAILED, "already taken")


async def test_a_run_that_cancels_itself_has_failed(journal: JournalService) -> None:
    name = fresh("cancels")

    async def work(run: Run, _: Any) -> Any:
        raise asyncio.CancelledError

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    with pytest.raises(StepFailed, match="cancelled itself"):
        await journal.result(None, run, 10)


async def test_only_json_is_journalled(journal: JournalService) -> None:
    name = fresh("object")

    async def odd() -> object:
        return object()

    async def work(run: Run, _: Any) -> Any:
        return await run.step("odd", odd)

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    with pytest.raises(StepFailed, match="must be JSON"):
        await journal.result(None, run, 10)


async def test_sleep_waits_and_a_wait_may_end_without_a_signal(journal: JournalService) -> None:
    name = fresh("sleeps")

    async def work(run: Run, _: Any) -> Any:
        await run.sleep(0.2)
        try:
            return await run.wait("never", 0.1)
        except TimeoutError:
            return "none"

    journal.define(name, work)
    begun = time.monotonic()
    run = await journal.start(name, organisation="org")
    assert await journal.result(None, run, 10) == "none"
    assert time.monotonic() - begun >= 0.3
    assert (await journal.history(None, run))[0].kind == "sleep"


async def test_signals_come_in_order_and_those_with_a_key_once(journal: JournalService) -> None:
    name = fresh("listens")

    async def work(run: Run, n: int) -> Any:
        return [await run.wait("topic") for _ in range(n)]

    journal.define(name, work)
    run = await journal.start(name, 30, organisation="org")
    for i in range(30):
        await journal.signal("org", run, "topic", i, key=f"k{i}")
        await journal.signal("org", run, "topic", i, key=f"k{i}")
    assert await journal.result(None, run, 20) == list(range(30))
    with pytest.raises(Conflict, match="takes no signals"):
        await journal.signal("org", run, "topic", 1)


async def test_a_signal_wakes_at_once(journal: JournalService) -> None:
    name = fresh("wakes")

    async def work(run: Run, _: Any) -> Any:
        return await run.wait("topic")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    await journalled(journal, run)
    begun = time.monotonic()
    await journal.signal(None, run, "topic", None)
    assert await journal.result(None, run, 10) is None
    assert time.monotonic() - begun < 0.5


async def test_children_belong_to_the_same_organisation(journal: JournalService) -> None:
    name, kid, queue = fresh("parent"), fresh("kid"), fresh("queue")

    async def child(run: Run, input: Any) -> Any:
        if input == "bad":
            raise ValueError("bad child")
        return [run.organisation, input, dict(run.labels)]

    async def work(run: Run, _: Any) -> Any:
        first = await run.child(kid, 1, labels={"a": "b"})
        second = await run.child(kid, 2, queue=queue)
        third = await run.child(kid, "bad")
        try:
            await third.result()
        except StepFailed as fault:
            return [await first.result(), await second.result(), fault.kind, fault.message]

    journal.define(name, work)
    journal.define(kid, child)
    journal.declare(Queue(name=queue))
    run = await journal.start(name, organisation="acme")
    assert await journal.result("acme", run, 10) == [["acme", 1, {"a": "b"}], ["acme", 2, {}], "ValueError", "bad child"]
    children = await journal.list("acme", RunFilter(parent=run))
    assert {c.organisation for c in children} == {"acme"}
    assert len(children) == 3


async def test_a_stream_is_read_while_it_is_written_and_from_any_offset(journal: JournalService) -> None:
    name = fresh("writes")

    async def work(run: Run, _: Any) -> Any:
        for i in range(3):
            await run.write("out", {"i": i})
        await run.wait("go")
        await run.write("out", None)

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    seen: list[Any] = []
    async for value in journal.stream("org", run, "out"):
        seen.append(value)
        if len(seen) == 3:
            await journal.signal(None, run, "go")
    assert seen == [{"i": 0}, {"i": 1}, {"i": 2}, None]
    assert [v async for v in journal.stream("org", run, "out", 2)] == [{"i": 2}, None]


async def test_a_key_starts_one_run_in_each_organisation(journal: JournalService) -> None:
    name, spy = fresh("once"), Spy()

    async def work(run: Run, input: Any) -> Any:
        return await run.step("note", spy.step, run.organisation)

    journal.define(name, work)
    runs = [await journal.start(name, organisation=o, key="same") for o in ("a", "a", "b")]
    for run in runs:
        await journal.result(None, run, 10)
    assert runs[0] == runs[1] != runs[2]
    assert sorted(spy.calls) == ["a", "b"]


async def test_cancel_stops_a_run_and_its_children_where_they_stand(journal: JournalService) -> None:
    name, kid = fresh("parent"), fresh("kid")
    stopped = asyncio.Event()
    inside = asyncio.Event()

    async def long() -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def child(run: Run, _: Any) -> Any:
        await run.step("long", long)

    async def work(run: Run, _: Any) -> Any:
        return await (await run.child(kid)).result()

    journal.define(name, work)
    journal.define(kid, child)
    run = await journal.start(name, organisation="org")
    await inside.wait()
    await journal.cancel("org", run)
    await stopped.wait()
    [below] = await journal.list("org", RunFilter(parent=run))
    assert below.state is RunState.CANCELLED
    assert (await journal.get("org", run)).state is RunState.CANCELLED
    with pytest.raises(StepFailed, match="was cancelled"):
        await journal.result("org", run, 10)
    with pytest.raises(Conflict, match="cannot be cancelled"):
        await journal.cancel("org", run)


async def test_a_paused_child_is_cancelled_with_its_parent(journal: JournalService) -> None:
    name, kid = fresh("parent"), fresh("kid")

    async def child(run: Run, _: Any) -> Any:
        return await run.wait("go")

    async def work(run: Run, _: Any) -> Any:
        return await (await run.child(kid)).result()

    journal.define(name, work)
    journal.define(kid, child)
    run = await journal.start(name, organisation="org")
    await journalled(journal, run)
    [below] = await journal.list(None, RunFilter(parent=run))
    await journal.pause(None, below.id)
    await journal.cancel(None, run)
    assert (await journal.get(None, below.id)).state is RunState.CANCELLED
    for ended in (run, below.id):
        with pytest.raises(StepFailed, match="was cancelled"):
            await journal.result(None, ended, 3)


async def test_a_paused_run_goes_on_where_it_stood_and_its_parent_waits(journal: JournalService) -> None:
    name, kid, before, after = fresh("parent"), fresh("kid"), Spy(), Spy()

    async def child(run: Run, _: Any) -> Any:
        await run.step("before", before.step)
        value = await run.wait("go")
        await run.step("after", after.step)
        return value

    async def work(run: Run, _: Any) -> Any:
        return await (await run.child(kid)).result()

    journal.define(name, work)
    journal.define(kid, child)
    run = await journal.start(name, organisation="org")
    await before.called.wait()
    [below] = await journal.list(None, RunFilter(parent=run))
    await journalled(journal, below.id)
    await journal.pause("org", below.id)
    assert (await journal.get(None, below.id)).state is RunState.PAUSED
    assert [r.id for r in await journal.list("org", RunFilter(state=RunState.PAUSED, parent=run))] == [below.id]
    assert not await journal.list("org", RunFilter(state=RunState.CANCELLED, parent=run))
    await journal.signal("org", below.id, "go", "kept")
    assert not after.calls
    await journal.resume("org", below.id)
    assert await journal.result("org", run, 10) == "kept"
    assert (len(before.calls), len(after.calls)) == (1, 1)
    with pytest.raises(Conflict, match="nothing to resume"):
        await journal.resume("org", run)


async def test_a_run_that_is_stopped_and_taken_up_again_and_again_ends(journal: JournalService) -> None:
    name, spy = fresh("tossed"), Spy()

    async def work(run: Run, _: Any) -> Any:
        await run.step("first", spy.step)
        return await run.wait("go")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    await journalled(journal, run)
    for _ in range(15):
        await journal.pause(None, run)
        await journal.resume(None, run)
    await journal.signal(None, run, "go", 1)
    assert await journal.result(None, run, 20) == 1
    assert len(spy.calls) == 1


async def test_a_cancelled_run_can_be_taken_up_again(journal: JournalService) -> None:
    name, spy = fresh("again"), Spy()

    async def work(run: Run, _: Any) -> Any:
        await run.step("first", spy.step)
        return await run.wait("go")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    await journalled(journal, run)
    await journal.cancel(None, run)
    await journal.resume(None, run)
    await journal.signal(None, run, "go", 1)
    assert await journal.result(None, run, 10) == 1
    assert len(spy.calls) == 1


async def test_a_fork_takes_over_the_steps_before_it(journal: JournalService) -> None:
    name, spy = fresh("forked"), Spy()

    async def work(run: Run, _: Any) -> Any:
        return [await run.step(str(i), spy.step, i) for i in range(4)]

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    assert await journal.result(None, run, 10) == [0, 1, 2, 3]
    fork = await journal.fork("org", run, 3, by=("key_1", "ada"))
    assert (await journal.get("org", fork)).forked_by == ("key_1", "ada")
    assert (await journal.get("org", run)).forked_by == ()
    assert await journal.result("org", fork, 10) == [0, 1, 2, 3]
    assert spy.calls == [0, 1, 2, 3, 2, 3]
    told = await journal.get("org", fork)
    assert (told.forked_from, told.organisation) == (run, "org")


async def test_who_forked_is_written_with_the_fork(journal: JournalService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to be written once the fork exists: a process that dies then loses nothing."""
    name = fresh("forked")

    async def work(run: Run, _: Any) -> Any:
        return await run.wait("go")

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    await journal.pause("org", run)
    with monkeypatch.context() as dying:
        dying.setattr("penstock.journal.engine.DBOS.update_workflow_attributes", _dies)
        fork = await journal.fork("org", run, 1, by=("key_1", "ada"))
    assert (await journal.get("org", fork)).forked_by == ("key_1", "ada")
    again = await journal.fork("org", fork, 1, by=("key_2",))
    assert (await journal.get("org", again)).forked_by == ("key_1", "ada", "key_2")
    await journal.cancel("org", fork)
    assert (await journal.get("org", fork)).state is RunState.CANCELLED, "that the other one is paused is not its affair"
    for one in (again, run):
        await journal.cancel("org", one)


def _dies(*_: object, **__: object) -> None:
    raise AssertionError("the process is dead by now")


async def test_a_history_is_read_page_by_page(journal: JournalService) -> None:
    """Whatever the size of a page, and wherever it is cut: time limits of waits are no steps, and a wait that lasts is one."""
    name = fresh("paged")

    async def work(run: Run, _: Any) -> Any:
        for n in range(3):
            await run.step(f"s{n}", _spoken, n)
            await run.wait("go", 60.0)
            await run.sleep(0.001)
        return await asyncio.gather(run.wait("never", 60.0), run.step("last", _spoken, 9))

    journal.define(name, work)
    run = await journal.start(name, organisation="org")
    for _ in range(3):
        await journal.signal("org", run, "go", 1)
    while len(whole := await journal.history("org", run)) < 11:
        await asyncio.sleep(0.01)
    assert [step.kind for step in whole] == ["step", "wait", "sleep"] * 3 + ["wait", "step"]
    assert whole[-2].ended_at is None
    for size in (1, 2, 3, 5, 100):
        found: list[StepInfo] = []
        while page := await journal.history("org", run, after=found[-1].number if found else 0, limit=size):
            assert len(page) <= size
            found += page
        assert found == list(whole), size
    await journal.cancel("org", run)


async def _spoken(n: int) -> str:
    return "x" * n


async def test_limits_of_a_queue_hold_for_all_and_for_each_tenant(journal: JournalService) -> None:
    name, queue = fresh("limited"), fresh("queue")
    running: dict[str, int] = {"a": 0, "b": 0, "c": 0}
    most: dict[str, int] = {"a": 0, "b": 0, "c": 0, "all": 0}

    async def busy(tenant: str) -> None:
        running[tenant] += 1
        most[tenant] = max(most[tenant], running[tenant])
        most["all"] = max(most["all"], sum(running.values()))
        await asyncio.sleep(0.05)
        running[tenant] -= 1

    async def work(run: Run, _: Any) -> Any:
        await run.step("busy", busy, run.organisation)

    journal.define(name, work)
    journal.declare(Queue(name=queue, concurrency=4, tenant_concurrency=2))
    runs = [await journal.start(name, organisation=t, queue=queue) for t in "abc" for _ in range(5)]
    await asyncio.gather(*(journal.result(None, r, 30) for r in runs))
    assert all(most[tenant] <= 2 for tenant in "abc")
    assert 1 < most["all"] <= 4


async def test_rates_hold_in_every_window(journal: JournalService) -> None:
    name, queue = fresh("rated"), fresh("queue")

    async def work(run: Run, _: Any) -> Any:
        return None

    journal.define(name, work)
    journal.declare(Queue(name=queue, rate=Rate(starts=4, seconds=0.6), tenant_rate=Rate(starts=3, seconds=0.6)))
    runs = [await journal.start(name, organisation=t, queue=queue) for t in ("a", "b") for _ in range(6)]
    await asyncio.gather(*(journal.result(None, r, 30) for r in runs))
    told = [await journal.get(None, r) for r in runs]
    for tenant, limit in (("a", 3), ("b", 3), (None, 4)):
        starts = sorted(t.started_at or 0 for t in told if tenant in (None, t.organisation))
        assert all(starts[i + limit] - starts[i] >= 0.599 for i in range(len(starts) - limit)), (tenant, starts)


async def test_a_cancelled_run_still_counts_for_the_rate(journal: JournalService) -> None:
    name, queue, spy = fresh("rated"), fresh("queue"), Spy()

    async def work(run: Run, input: Any) -> Any:
        await run.step("note", spy.step)
        return await run.wait("go") if input else None

    journal.define(name, work)
    journal.declare(Queue(name=queue, rate=Rate(starts=1, seconds=1.5)))
    first = await journal.start(name, True, organisation="org", queue=queue)
    await spy.called.wait()
    await journal.cancel(None, first)
    second = await journal.start(name, organisation="org", queue=queue)
    await journal.result(None, second, 20)
    starts = [(await journal.get(None, run)).started_at or 0.0 for run in (first, second)]
    assert starts[1] - starts[0] >= 1.499


async def test_lower_priorities_go_first_and_older_ones_among_equals(journal: JournalService) -> None:
    name, queue, spy = fresh("ordered"), fresh("queue"), Spy()

    async def work(run: Run, input: Any) -> Any:
        await run.step("note", spy.step, input)
        if input == "gate":
            await run.wait("go")

    journal.define(name, work)
    journal.declare(Queue(name=queue, concurrency=1))
    gate = await journal.start(name, "gate", organisation="org", queue=queue)
    await spy.called.wait()
    given = [(5, "a"), (0, "b"), (9, "c"), (0, "d"), (2, "e")]
    runs = [await journal.start(name, n, organisation="org", queue=queue, priority=p) for p, n in given]
    depth = {d.queue: d.waiting for d in await journal.depths("org")}
    assert depth[queue] == 5
    assert queue not in {d.queue for d in await journal.depths("other")}
    await journal.signal(None, gate, "go")
    await asyncio.gather(*(journal.result(None, r, 30) for r in runs))
    assert spy.calls == ["gate", "b", "d", "e", "a", "c"]


async def test_a_delayed_run_waits_its_time(journal: JournalService) -> None:
    name, queue = fresh("delayed"), fresh("queue")

    async def work(run: Run, _: Any) -> Any:
        return None

    journal.define(name, work)
    journal.declare(Queue(name=queue))
    run = await journal.start(name, organisation="org", queue=queue, delay=0.3)
    await journal.result(None, run, 10)
    told = await journal.get(None, run)
    assert told.started_at is not None
    assert told.started_at - told.created_at >= 0.299


async def test_a_resumed_run_goes_through_its_queue(journal: JournalService) -> None:
    name, queue, inside = fresh("queued"), fresh("queue"), Spy()

    async def work(run: Run, _: Any) -> Any:
        await run.step("inside", inside.step)
        return await run.wait("go")

    journal.define(name, work)
    journal.declare(Queue(name=queue, concurrency=1))
    first = await journal.start(name, organisation="org", queue=queue)
    await inside.called.wait()
    second = await journal.start(name, organisation="org", queue=queue)
    await journal.pause(None, second)
    await journal.resume(None, second)
    assert (await journal.get(None, second)).state is RunState.QUEUED
    assert [(d.waiting, d.running) for d in await journal.depths(None) if d.queue == queue] == [(1, 1)]
    for run in (first, second):
        await journal.signal(None, run, "go")
        await journal.result(None, run, 10)


async def test_a_run_keeps_to_its_version_and_waits_where_there_is_none(journal: JournalService) -> None:
    name, queue = fresh("versioned"), fresh("queue")

    async def one(run: Run, _: Any) -> Any:
        await run.wait("go")
        return 1

    async def two(run: Run, _: Any) -> Any:
        return 2

    journal.define(name, one)
    journal.declare(Queue(name=queue))
    old = await journal.start(name, organisation="org")
    journal.define(name, two, version=2)
    assert await journal.result(None, await journal.start(name, organisation="org"), 10) == 2
    await journal.pause(None, old)
    engine = await journal.begin()
    code = engine._functions.pop(f"{name}@1")
    await journal.resume(None, old)
    # Others of the same queue overtake it, so it was looked at and left.
    assert await journal.result(None, await journal.start(name, organisation="org", queue=queue), 10) == 2
    await journal.signal(None, old, "go")
    assert (await journal.get(None, old)).state is RunState.QUEUED
    engine._functions[f"{name}@1"] = code
    assert await journal.result(None, old, 10) == 1


async def test_what_is_not_known_is_said(journal: JournalService) -> None:
    name = fresh("known")

    async def work(run: Run, _: Any) -> Any:
        return None

    journal.define(name, work)
    with pytest.raises(NotFound, match="no run is defined"):
        await journal.start("nobody", organisation="org")
    with pytest.raises(NotFound, match="no queue"):
        await journal.start(name, organisation="org", queue="nowhere")
    with pytest.raises(RequestError, match="queues"):
        await journal.start(name, organisation="org", priority=3)
    with pytest.raises(ValueError, match="two functions"):
        journal.define(name, work)
    with pytest.raises(TimeoutError):
        await journal.result(None, await journal.start(await _waits(journal), organisation="org"), 0.05)


async def _waits(journal: JournalService) -> str:
    name = fresh("waits")

    async def work(run: Run, _: Any) -> Any:
        await run.wait("never")

    journal.define(name, work)
    return name


async def test_another_organisations_run_is_not_there(journal: JournalService) -> None:
    run = await journal.start(await _waits(journal), organisation="mine")
    missing = str((await _fault(journal.get("theirs", "run_none"))).message).replace("run_none", run)
    tries = [
        journal.get("theirs", run),
        journal.history("theirs", run),
        journal.signal("theirs", run, "never"),
        journal.cancel("theirs", run),
        journal.pause("theirs", run),
        journal.resume("theirs", run),
        journal.fork("theirs", run, 1),
        journal.result("theirs", run, 1),
        anext(journal.stream("theirs", run, "out")),
        journal.list("theirs", RunFilter(before=run)),
    ]
    for attempt in tries:
        assert (await _fault(attempt)).message == missing
    assert run not in {r.id for r in await journal.list("theirs", RunFilter(limit=1000))}
    assert (await journal.get("mine", run)).state is RunState.RUNNING
    await journal.cancel("mine", run)


async def _fault(asked: Any) -> NotFound:
    with pytest.raises(NotFound) as caught:
        await asked
    return caught.value
