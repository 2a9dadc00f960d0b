"""Policies in memory: what each task is routed by at this moment, or why by nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Connection

from penstock.kernel.ports import Metric
from penstock.kernel.tasks import Task
from penstock.routing import store
from penstock.routing.arrays import Damaged, Fit, unpack
from penstock.routing.binding import Bound, moved
from penstock.routing.policy import Policy
from penstock.storage.freshness import Freshness
from penstock.storage.records import Records

_log = logging.getLogger("penstock.routing")
Key = tuple[str, str]
_Found = tuple[int, list[tuple[Policy, bytes | None]] | None]


class Live:
    """A policy as it serves: with its fit where it has one. ``damaged`` says why it must not be used; None when it may."""

    __slots__ = ("_said", "damaged", "fit", "policy")

    def __init__(self, policy: Policy, fit: Fit | None, damaged: str | None = None) -> None:
        self.policy = policy
        self.fit = fit
        self.damaged = damaged
        self._said: tuple[Task | None, Bound | None, str | None] = (None, None, None)

    def unusable(self, task: Task, claim: str, bound: Bound | None = None) -> str | None:
        """Why the policy says nothing about the task as it is now, with the digest ``claim`` (`claim_of`) and candidates that lead where
        ``bound`` says; None when it does."""
        of, at, said = self._said
        if of is not task or at is not bound:
            said = self._unusable(task, claim, bound)
            self._said = (task, bound, said)
        return said

    def _unusable(self, task: Task, claim: str, bound: Bound | None) -> str | None:
        policy = self.policy
        named = f"policy {policy.number}"
        if policy.state == "suspended":
            return f"the claim of {named} is suspended: {policy.changed_why}; POST /v1/tasks/{task.name}/policies certifies anew"
        if policy.state != "active" or policy.kind is None:
            return f"{named}: {policy.why}"
        if self.damaged is not None:
            return f"{named} cannot be used: {self.damaged}"
        if policy.claim != claim:
            return f"{named} was certified for another floor, judge or slices; POST /v1/tasks/{task.name}/policies certifies anew"
        gone = [one for one in policy.candidates if one not in task.candidates]
        if gone:
            return f"{named} was certified with {', '.join(gone)}, which the task has left"
        other = moved(policy.models, bound) if bound is not None else None
        return f"{named} was certified for another model: {other}" if other is not None else None


class Policies:
    """The active, suspended or last policy of every task; fresh within ``seconds`` of a change by any process."""

    def __init__(self, records: Records, seconds: float) -> None:
        self._records = records
        self._live: dict[Key, Live] = {}
        self._seen = -1
        self.changed: list[Callable[[Mapping[Key, Live]], None]] = []
        """Called with all policies whenever they have changed."""
        self.fresh = Freshness(
            "routing",
            self._look,
            seconds,
            logger=_log,
            failing="policies cannot be refreshed, what is in memory holds",
            again="policies are refreshed again",
        )

    def of(self, task: Task) -> Live | None:
        """What the task is routed by, or was."""
        return self._live.get((task.organisation, task.name))

    def certified(self) -> list[Policy]:
        """The policies that calls are routed by, or were until they were suspended."""
        return [live.policy for live in self._live.values() if live.policy.state in ("active", "suspended")]

    def metrics(self) -> Iterable[Metric]:
        """Policies by state, and how old this view of them is."""
        states = Counter(live.policy.state if live.damaged is None else "damaged" for live in self._live.values())
        samples = tuple(({"state": state}, states[state]) for state in ("active", "suspended", "refused", "failed", "damaged"))
        yield Metric(name="penstock_routing_policies", help="Tasks by the state of their policy.", kind="gauge", samples=samples)
        age = "Seconds since policies were last looked for successfully; a suspension elsewhere is not seen in the meantime."
        yield Metric(name="penstock_routing_age_seconds", help=age, kind="gauge", samples=(({}, self.fresh.age),))

    async def _look(self) -> None:
        seen, known = self._seen, {live.policy.id: live for live in self._live.values()}

        def work(connection: Connection) -> _Found:
            counted = store.counted(connection)
            if counted == seen:
                return counted, None
            current = store.current(connection)
            # A fit is read once; of a policy that only changes its state it is in memory already.
            return counted, [(p, store.arrays(connection, p.id) if p.digest and p.id not in known else None) for p in current]

        counted, found = await self._records.read(work)
        if found is None:
            return
        # A fit takes some ten milliseconds to read, which calls on the line do not wait for.
        live = await asyncio.to_thread(lambda: [_alive(policy, packed, known.get(policy.id)) for policy, packed in found])
        self._live = {(one.policy.organisation, one.policy.task): one for one in live}
        self._seen = counted
        for told in self.changed:
            told(self._live)


def _alive(policy: Policy, packed: bytes | None, known: Live | None) -> Live:
    if known is not None:
        return Live(policy, known.fit, known.damaged)
    if not policy.digest:
        return Live(policy, None)
    began = time.perf_counter()
    try:
        live = Live(policy, unpack(policy, packed))
    except Damaged as fault:
        _log.error("a policy cannot be used; its task's default serves", extra={"policy": policy.id, "fault": str(fault)})
        return Live(policy, None, str(fault))
    _log.info("policy read", extra={"policy": policy.id, "task": policy.task, "ms": round((time.perf_counter() - began) * 1e3, 1)})
    return live
