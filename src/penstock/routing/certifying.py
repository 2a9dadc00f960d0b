"""Certification: from a task's evidence to a policy that serves, or to words that say why there is none.

An attempt is a durable run where there is a journal: a process that dies leaves it to the next one. It has one step, which may therefore be
done more than once; what comes of it is written once, by whoever finds the policy still being fitted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from penstock.kernel.errors import Conflict, JournalInUse, JournalUnavailable, PenstockError, StepFailed, StorageError, Unavailable
from penstock.kernel.evidence import CertificationEnded
from penstock.kernel.ids import new_id
from penstock.kernel.journal import ENDED, Journal, Queue, Retry, Run
from penstock.kernel.ports import Metric
from penstock.kernel.rounds import each
from penstock.kernel.tasks import Task, Tasks
from penstock.routing import store
from penstock.routing.evidence import Gathering, Material
from penstock.routing.policy import Policy, claim_of
from penstock.routing.series import Attempt, next_attempt
from penstock.routing.settings import RoutingSettings
from penstock.storage.records import Records

_log = logging.getLogger("penstock.routing")
NAME = "certification"
QUEUE = "certifications"
GIVEN_UP_SECONDS = 1800.0
"""After which a policy that is still being fitted may be left behind: without a journal, its process died."""
LEFT_BEHIND = "the process that fitted it has ended; ask again"
PATIENT = Retry(attempts=20, first_seconds=0.5, longest_seconds=60.0)


class Certifying:
    """Certifies in the background, one attempt at a time each task. ``refresh`` lets this process act on what was committed."""

    def __init__(
        self,
        records: Records,
        gathering: Gathering,
        settings: RoutingSettings,
        refresh: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        journal: Callable[[], Journal | None] = lambda: None,
        tasks: Callable[[], Tasks | None] = lambda: None,
        ended: Callable[[Policy], None] = lambda policy: None,
    ) -> None:
        self._records = records
        self._gathering = gathering
        self._settings = settings
        self._refresh = refresh
        self._clock = clock
        self._journal = journal
        self._tasks = tasks
        self._ended = ended
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._runs: dict[tuple[str, str], str] = {}
        self.counts: Counter[tuple[str, bool]] = Counter()

    def open(self) -> None:
        """Tell the journal what an attempt is, where there is one."""
        journal = self._journal()
        if journal is not None:
            journal.define(NAME, self.execute)
            journal.declare(Queue(name=QUEUE, per_process=2))

    async def begin(self, task: Task, by: str, *, after: Policy | None = None) -> Policy:
        """Make the task's next policy, which is being fitted when this returns. Raises `Conflict` while another is, or without a floor.

        ``after``: nobody asked for it, and it is made only while that one is the task's last; of several processes, one makes it.
        """
        key = (task.organisation, task.name)
        if task.floor is None:
            raise Conflict(f"the task {task.name!r} states no floor, so there is nothing to certify", code="no_floor")
        journal = await self._working()
        now, claim, confidence, leads = self._clock(), claim_of(task), task.floor.confidence, self._gathering.models(task)

        def work(connection: Connection) -> Policy:
            last = store.of_task(connection, *key, limit=1)
            if after is not None and (not last or last[0].id != after.id):
                raise Conflict(f"another attempt at {task.name!r} was begun meanwhile", code="being_fitted")
            if last and last[0].state == "fitting" and now - last[0].created_at < GIVEN_UP_SECONDS:
                raise Conflict(f"policy {last[0].number} of {task.name!r} is being fitted; wait for it", code="being_fitted")
            number = store.next_number(connection, *key)
            before = store.of_task(connection, *key, limit=1000)
            attempt = next_attempt(before, claim, task.candidates, confidence, automatic=after is not None, bound=leads)
            made = Policy(
                id=new_id("policy"),
                organisation=key[0],
                task=key[1],
                number=number,
                state="fitting",
                created_at=now,
                by=by,
                durable=journal is not None,
                automatic=after is not None,
                changed_at=now,
                claim=claim,
                series=attempt.series,
                attempt=attempt.number,
                spent=attempt.spent,
                alpha=attempt.alpha,
                since=attempt.since,
                again=attempt.again.id if attempt.again is not None else "",
                doubts=_doubts(store.serving(connection, *key)),
            )
            store.add(connection, made)
            return made

        policy = await self._records.write(work)
        if journal is not None:
            await self._start(journal, policy)
            return policy
        running = self._running[key] = asyncio.create_task(self._run(policy, task), name=f"certifying {task.name}")
        running.add_done_callback(lambda done: self._running.pop(key, None) if self._running.get(key) is done else None)
        return policy

    async def wait(self, task: Task) -> None:
        """Until what was begun here for the task has ended."""
        key = (task.organisation, task.name)
        running, run, journal = self._running.get(key), self._runs.get(key), self._journal()
        if running is not None:
            await asyncio.shield(running)
        elif run is not None and journal is not None:
            await journal.result(None, run)

    async def stop(self) -> None:
        """Give up what runs without a journal; it is marked as failed. What the journal executes, another process takes up."""
        running = [*self._running.values()]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def take_up(self) -> None:
        """See that every durable attempt has its run, and that one has ended whose run was ended from outside, or whose process died
        without a run. Raises `JournalUnavailable` where this process has no say over runs."""
        left, now = await self._records.read(store.fitting), self._clock()
        await each([one for one in left if _left_behind(one, now)], self._give_up, _about)
        journal = self._journal()
        if journal is not None:
            await each([one for one in left if one.durable], partial(self._see_to, journal), _about)

    async def _give_up(self, policy: Policy) -> None:
        await self._end(msgspec.structs.replace(policy, state="failed", why=LEFT_BEHIND), None)

    async def _see_to(self, journal: Journal, policy: Policy) -> None:
        run = await self._start(journal, policy)
        if (await journal.get(None, run)).state in ENDED:
            await self._end(msgspec.structs.replace(policy, state="failed", why=f"its run {run} was ended from outside; ask again"), None)

    async def here(self) -> None:
        """Return where this process may begin attempts of its own accord. Raises `JournalInUse` where another one works on the journal."""
        journal = self._journal()
        if journal is not None:
            try:
                await journal.ready()
            except JournalInUse:
                raise
            except JournalUnavailable:
                return  # there is none, so every process has as good a say as any other

    async def execute(self, run: Run, input: Any) -> str:
        """The run's function: how the attempt ended."""
        id: str = input["policy"]
        try:
            return await run.step("certify", self._attempt, id, retry=PATIENT)
        except StepFailed as fault:
            return await run.step("fail", self._fail, id, f"{fault.step_code or fault.code}: {fault.message}", retry=PATIENT)

    def metrics(self) -> Iterable[Metric]:
        """Attempts that ended here."""
        ended = tuple(
            ({"state": state, "by": "itself" if automatic else "request"}, float(count))
            for (state, automatic), count in sorted(self.counts.items())
        )
        yield Metric(name="penstock_routing_certifications", help="Attempts to certify, by how they ended.", kind="counter", samples=ended)

    async def _working(self) -> Journal | None:
        """The journal, where runs can be started in this process."""
        journal = self._journal()
        if journal is None:
            return None
        try:
            await journal.ready()
        except JournalUnavailable as fault:
            _log.info("this attempt to certify ends with its process", extra={"fault": fault.message, "code": fault.code})
            return None
        return journal

    async def _start(self, journal: Journal, policy: Policy) -> str:
        run = await journal.start(
            NAME,
            {"policy": policy.id},
            organisation=policy.organisation,
            queue=QUEUE,
            key=policy.id,
            labels={"task": policy.task, "policy": policy.id},
        )
        self._runs[policy.organisation, policy.task] = run
        return run

    async def _attempt(self, id: str) -> str:
        """The step of a run. One that is done again, since its result was not journalled, finds the policy as it was left."""
        policy = await self._records.read(lambda c: store.one(c, id))
        if policy is None or policy.state != "fitting":
            return policy.state if policy is not None else "failed"
        tasks = self._tasks()
        if tasks is not None and not tasks.version:
            raise Unavailable("tasks are not read yet", retry_after=1.0)  # what is not known to be there is not known to be gone
        task = tasks.find(policy.organisation, policy.task) if tasks is not None else None
        if task is None:
            return await self._fail(id, "the task is gone")
        return (await self._end(*await self._outcome(policy, task))).state

    async def _fail(self, id: str, why: str) -> str:
        policy = await self._records.read(lambda c: store.one(c, id))
        if policy is None:
            return "failed"
        return (await self._end(msgspec.structs.replace(policy, state="failed", why=why), None)).state

    async def _run(self, policy: Policy, task: Task) -> None:
        """An attempt without a journal."""
        try:
            done, arrays = await self._outcome(policy, task)
        except asyncio.CancelledError:
            await self._end(msgspec.structs.replace(policy, state="failed", why="the process that fitted it was stopped"), None)
            raise
        await self._end(done, arrays)

    async def _outcome(self, policy: Policy, task: Task) -> tuple[Policy, bytes | None]:
        """What comes of it, whatever happens. Raises `StorageError` for what a run tries again."""
        try:
            return await self._certified(policy, task)
        except PenstockError as fault:
            if policy.durable and isinstance(fault, StorageError):
                raise
            return msgspec.structs.replace(policy, state="failed", claim=claim_of(task), why=fault.message), None
        except Exception as fault:  # a fault of ours must not leave the policy "fitting" for ever; the log has its trace
            _log.exception("a policy could not be fitted", extra={"policy": policy.id, "task": task.name})
            said = f"a fault of Penstock's ({type(fault).__name__}); the log has it under {policy.id}"
            return msgspec.structs.replace(policy, state="failed", claim=claim_of(task), why=said), None

    async def _end(self, policy: Policy, arrays: bytes | None) -> Policy:
        """Write down what came of an attempt, unless somebody has by now; the policy as it stands."""
        now = self._clock()
        policy = msgspec.structs.replace(policy, changed_at=now)

        def work(connection: Connection) -> tuple[Policy, bool]:
            held = store.one(connection, policy.id)
            if held is None or held.state != "fitting":
                return held or policy, False
            if store.next_number(connection, policy.organisation, policy.task) > policy.number + 1:
                # It was given up, and the next attempt has its share of the confidence by now: what this one claims would be one too many.
                said = f"it took longer than {GIVEN_UP_SECONDS / 60:g} minutes, and another attempt was begun meanwhile"
                late = msgspec.structs.replace(held, state="failed", why=said, changed_at=now)
                store.put(connection, late)
                store.bump(connection)
                return late, True
            ended, serving = policy, store.serving(connection, policy.organisation, policy.task)
            if policy.state == "active":
                void = self._void(held, serving)
                if void is not None:
                    ended = msgspec.structs.replace(policy, state="refused", kind=None, why=void)
                    serving = []
                for old in serving:
                    said = f"policy {policy.number} took its place"
                    store.put(connection, msgspec.structs.replace(old, state="superseded", changed_at=now, changed_why=said))
            store.put(connection, ended, arrays)
            store.bump(connection)
            return ended, True

        done, mine = await self._records.write(work)
        if mine:
            # First of all: this process alone knows that it was the one, and a kill from here on loses it (`ended` is told at most once).
            self.counts[done.state, done.automatic] += 1
            how = {"policy": done.id, "task": done.task, "state": done.state, "kind": done.kind, "labels": done.labels, "why": done.why}
            _log.info("certification ended", extra={**how, "automatic": done.automatic})
            self._ended(done)
        await self._refresh()
        return done

    def _void(self, begun: Policy, serving: Sequence[Policy]) -> str | None:
        """Why what an attempt has found must not serve, for what happened since it was ``begun``; None when it may. Its share of alpha is
        spent all the same."""
        said = "the labels carried the floor, but"
        for one in serving:
            if one.state == "suspended" and begun.doubts.get(one.id) != one.changed_at:
                return f"{said} policy {one.number} was suspended meanwhile, and these labels are from before that"
        tasks = self._tasks() if begun.automatic else None
        if tasks is None:
            return None
        task = tasks.find(begun.organisation, begun.task)
        if task is None or task.recertify is None:
            return f"{said} nobody asked for it, and the task is not certified again by itself any more"
        if claim_of(task) != begun.claim:
            return f"{said} nobody asked for it, and the task has another floor, judge or slices by now"
        return None

    async def _certified(self, policy: Policy, task: Task) -> tuple[Policy, bytes | None]:
        if task.floor is None:
            raise Conflict(f"the task {task.name!r} states no floor, so there is nothing to certify", code="no_floor")
        if claim_of(task) != policy.claim:
            raise Conflict(f"the task {task.name!r} was declared otherwise after this was begun; ask again")
        again, packed = None, None
        if policy.again:
            again, packed = await self._records.read(lambda c: (store.one(c, policy.again), store.arrays(c, policy.again)))
        names = again.frozen.candidates if again is not None and again.frozen is not None else None
        material = await self._gathering.gather(task, names, until=policy.created_at)
        attempt = Attempt(
            series=policy.series, number=policy.attempt, alpha=policy.alpha, since=policy.since, again=again, spent=policy.spent
        )
        # Minutes of a core at worst, and numpy lets go of the interpreter while it works.
        return await asyncio.to_thread(_tried, policy, material, attempt, packed, self._settings)


def _doubts(serving: Sequence[Policy]) -> dict[str, float]:
    return {one.id: one.changed_at for one in serving if one.state == "suspended"}


def _tried(
    policy: Policy, material: Material, attempt: Attempt, packed: bytes | None, settings: RoutingSettings
) -> tuple[Policy, bytes | None]:
    from penstock.routing.trial import tried  # numpy, of the extra `local`; `gather` has said so where it is missing

    return tried(policy, material, attempt, packed, settings)


def shown(policies: Sequence[Policy], now: float) -> list[Policy]:
    """Policies as they are told: one whose process died while it fitted has failed."""
    return [
        msgspec.structs.replace(one, state="failed", why=LEFT_BEHIND) if one.state == "fitting" and _left_behind(one, now) else one
        for one in policies
    ]


def _left_behind(policy: Policy, now: float) -> bool:
    """Whether nobody can be fitting it any more, though it was never ended."""
    return not policy.durable and now - policy.created_at > GIVEN_UP_SECONDS


def _about(policy: Policy) -> str:
    return f"policy {policy.number} of the task {policy.task!r}"


def ended(policy: Policy) -> CertificationEnded:
    """The event of an attempt that has ended."""
    return CertificationEnded(
        organisation=policy.organisation,
        task=policy.task,
        policy=policy.id,
        state=policy.state,
        automatic=policy.automatic,
        why=policy.why,
    )
