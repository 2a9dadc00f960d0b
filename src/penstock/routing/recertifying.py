"""Certified again without anybody asking, where a task's declaration says so (`penstock.kernel.tasks.Recertify`).

An attempt costs some of the chain's alpha (`penstock.routing.series`), so one is begun only where enough fresh labels wait for it, and at
most once a period, whatever came of the last. What a person has suspended stays suspended until a person asks. Every process looks; the one
whose transaction finds the last policy still the last begins, and on SQLite only the one that works on the journal looks at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import msgspec

from penstock.kernel.errors import Conflict
from penstock.kernel.ports import Metric
from penstock.kernel.rounds import each
from penstock.kernel.tasks import Task, Tasks
from penstock.routing import store
from penstock.routing.certifying import Certifying
from penstock.routing.evidence import Gathering
from penstock.routing.policy import VERSION, WATCH, Policy, claim_of
from penstock.routing.series import next_attempt
from penstock.storage.records import Records

_log = logging.getLogger("penstock.routing")
BY = "routing"
"""Who asked, on a policy that nobody asked for."""

LOOK_SECONDS = 60.0
LOOKS = 100
"""How often a task is looked at in its period, at most: each look reads what was judged since the last certificate."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How a task stands before its next attempt: ``fresh`` labels of those ``wanted``, not before ``at`` (Unix seconds)."""

    fresh: int
    wanted: int
    at: float


class Recertifying:
    """Looks at the tasks that ask for it. ``waiting`` is what the last looks of this process found, by organisation and task."""

    def __init__(
        self,
        records: Records,
        certifying: Certifying,
        gathering: Gathering,
        tasks: Callable[[], Tasks | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._certifying = certifying
        self._gathering = gathering
        self._tasks = tasks
        self._clock = clock
        self._next = 0.0
        self._looked: dict[tuple[str, str], float] = {}
        self.waiting: dict[tuple[str, str], Waiting] = {}

    async def round(self) -> None:
        """Begin what is due, where the last look is long enough ago. Raises `JournalInUse` where another process of this installation
        does it."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + LOOK_SECONDS
        tasks = self._tasks()
        asking = {(task.organisation, task.name): task for task in tasks.all() if task.recertify is not None} if tasks is not None else {}
        for kept in (self.waiting, self._looked):
            for gone in kept.keys() - asking.keys():
                del kept[gone]
        if asking:
            await self._certifying.here()
            await each(asking.values(), self._look_again, lambda task: f"the task {task.name!r}")

    async def _look_again(self, task: Task) -> None:
        """Look at a task whose last look is long enough ago."""
        assert task.recertify is not None
        key, now = (task.organisation, task.name), self._clock()
        if now - self._looked.get(key, 0.0) < task.recertify.hours * 3600 / LOOKS:
            return
        self._looked[key] = now
        waits = await self._look(task)
        if waits is not None:
            self.waiting[key] = waits
        else:
            self.waiting.pop(key, None)

    async def _look(self, task: Task) -> Waiting | None:
        """Begin an attempt where one is due; else how far off it is, None where a person has to ask."""
        wanted, floor = task.recertify, task.floor
        if wanted is None or floor is None or task.mode == "default":
            return None
        before = await self._records.read(lambda c: store.of_task(c, task.organisation, task.name, limit=1000))
        counted = [one for one in before if one.state not in ("fitting", "failed")]
        if not counted or before[0].state == "fitting" or _distrusted(counted):
            return None
        claim = claim_of(task)
        attempt = next_attempt(before, claim, task.candidates, floor.confidence, automatic=True, bound=self._gathering.models(task))
        again = attempt.again
        since = max(attempt.since, again.until) if again is not None else attempt.since
        names = again.frozen.candidates if again is not None and again.frozen is not None else None
        at = before[0].created_at + wanted.hours * 3600
        due = self._clock() >= at
        fresh = await self._gathering.fresh(task, names, since, wanted.labels if due else None)
        if not due or fresh < wanted.labels:
            return Waiting(fresh=fresh, wanted=wanted.labels, at=at)
        try:
            policy = await self._certifying.begin(task, BY, after=before[0])
        except Conflict:
            return None  # another process was faster, or a person
        how = {"task": task.name, "policy": policy.id, "fresh": fresh, "alpha": round(attempt.alpha, 6)}
        _log.info("a task is certified again by itself", extra=how)
        return None

    def metrics(self) -> Iterable[Metric]:
        """How far the tasks that are certified again by themselves have come."""
        if not self.waiting:
            return
        share = tuple(({"task": task}, one.fresh / one.wanted) for (_, task), one in sorted(self.waiting.items()))
        said = "Fresh labels of tasks that are certified again by themselves, as a share of what an attempt waits for."
        yield Metric(name="penstock_routing_fresh_ratio", help=said, kind="gauge", samples=share)


def _distrusted(counted: list[Policy]) -> bool:
    """Whether a person has suspended what serves: it is for a person to ask again."""
    last = next((one for one in counted if one.state in ("active", "suspended")), None)
    return last is not None and last.state == "suspended" and last.changed_by not in (WATCH, VERSION)
