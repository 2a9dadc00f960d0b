"""Drift: every active policy is watched; a claim that the traffic contradicts is suspended, in all processes within a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from penstock.kernel.errors import PenstockError
from penstock.kernel.events import Events
from penstock.kernel.evidence import ClaimSuspended, Judged
from penstock.kernel.ports import Metric
from penstock.kernel.recall import Embedder
from penstock.kernel.tasks import Task, Tasks
from penstock.routing import store
from penstock.routing.memory import Key, Live, Policies
from penstock.routing.numbers import Fixed, Leased
from penstock.routing.policy import WATCH, Policy
from penstock.routing.prompts import embedded
from penstock.routing.service import suspend
from penstock.routing.settings import RoutingSettings
from penstock.storage.records import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from penstock.routing.watcher import Watcher

_log = logging.getLogger("penstock.routing")
LOOK_SECONDS = 1.0
"""Between two looks at whether a watch has won enough to suspend, or waits to be saved."""
SAVE_SECONDS = 10.0
"""Between two savings of what one watch has won, at least; a kill loses so much of it, and no false alarm comes of that."""
WAITING = 64
"""Prompts that wait to be embedded for the watch alone; more are not watched, which is counted."""


class Drift:
    """A service. Watches policies as `Policies` brings them; suspends, says so, and keeps what was won in the database."""

    name = "routing drift"

    def __init__(
        self,
        records: Records,
        policies: Policies,
        settings: RoutingSettings,
        events: Events,
        number: Fixed | Leased,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._policies = policies
        self._audit = settings.audit
        self._events = events
        self._clock = clock
        self._number = number
        self._watchers: dict[str, Watcher] = {}
        self._live: Mapping[Key, Live] = {}
        self._saved: dict[str, float] = {}
        self._spent: set[str] = set()
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue(WAITING)
        self._loops: list[asyncio.Task[None]] = []
        self._embedder: Embedder | None = None
        self._tasks: Tasks | None = None
        self.suspensions = 0
        self.unwatched = 0
        self._coming: asyncio.Task[None] | None = None
        policies.changed.append(self._changed)
        events.subscribe(Judged, self._judged)

    def open(self, tasks: Tasks | None, embedder: Embedder | None) -> None:
        """Join the rooms around it; before `start`."""
        self._tasks, self._embedder = tasks, embedder

    async def start(self) -> None:
        """Begin to save what is won, and to embed prompts for the watch."""
        self._loops = [
            asyncio.create_task(self._save(), name="routing watch"),
            asyncio.create_task(self._embed(), name="routing watch embeds"),
        ]

    async def stop(self) -> None:
        """Save once more."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        try:
            await self.flush()
            await self._number.leave()
        except PenstockError as fault:
            _log.warning("what watches policies have won since the last second is lost", extra={"fault": fault.message})

    def call(self, live: Live, vector: NDArray[Any] | None, text: str | None) -> None:
        """A call of the policy's task came, with its embedding where that is known, else with the text to make one of, later."""
        watcher = self._watchers.get(live.policy.id)
        if watcher is None:
            return
        if vector is not None:
            watcher.call(vector)
        elif text and self._embedder is not None and self._embedder.id == live.policy.embedder:
            try:
                self._queue.put_nowait((live.policy.id, text))
            except asyncio.QueueFull:
                self.unwatched += 1

    def watcher(self, policy: str) -> Watcher | None:
        """Who watches a policy here."""
        return self._watchers.get(policy)

    async def flush(self, seconds: float = 0.0) -> None:
        """Save what was won since the last time, where that is so many seconds ago, and suspend what is contradicted, at once. Raises
        `StorageError`."""
        for id, watcher in list(self._watchers.items()):
            now = self._clock()
            if self._watchers.get(id) is not watcher:
                continue  # dropped since: the number it watched under may be another process's by now
            if not watcher.dirty or (now - self._saved.get(id, 0.0) < seconds and not watcher.suspended):
                continue
            watcher.dirty = False
            row = store.Watched(
                policy=watcher.policy.id,
                watcher=str(self._number.number),
                evidence=watcher.evidence,
                calls=watcher.calls,
                labels=watcher.labels,
                changed_at=now,
                state=watcher.saved(),
                unspent=watcher.left,
            )
            try:
                await self._records.write(lambda c, row=row: store.keep_watch(c, row))
                self._saved[id] = now
                if watcher.suspended:
                    await self.suspend(watcher.policy, watcher.why(), WATCH)
                self._tell(watcher)
            except PenstockError:
                watcher.dirty = True
                raise

    def _tell(self, watcher: Watcher) -> None:
        """Say once that the evidence to bet with is used up."""
        policy = watcher.policy
        if watcher.left > 0 or policy.id in self._spent:
            return
        self._spent.add(policy.id)
        said = "a watch has used up its evidence and sees changes of prompts less well from here on; certify the task again"
        _log.warning(said, extra={"task": policy.task, "policy": policy.id, "calls": watcher.calls})

    async def suspend(self, policy: Policy, why: str, by: str) -> None:
        """Take the claim of a policy back, and say so; unless somebody has. Raises `StorageError`."""
        if not await suspend(self._records, self._policies, policy.id, why, self._clock(), by):
            return
        self.suspensions += 1
        _log.warning(
            "the claim of a policy is suspended; its task's default serves", extra={"task": policy.task, "policy": policy.id, "why": why}
        )
        self._events.publish(ClaimSuspended(organisation=policy.organisation, task=policy.task, policy=policy.id, why=why))

    def _changed(self, live: Mapping[Key, Live]) -> None:
        if self._coming is not None and not self._coming.done() and live is self._live:
            return
        self._live = live
        wanted = {one.policy.id: one for one in live.values() if one.policy.state == "active" and one.fit is not None}
        for id in [id for id in self._watchers if id not in wanted]:
            del self._watchers[id]
            self._saved.pop(id, None)
            self._spent.discard(id)
        new = [one for id, one in wanted.items() if id not in self._watchers]
        if new:
            self._coming = asyncio.get_running_loop().create_task(self._begin(new), name="routing watch begins")

    async def _begin(self, new: list[Live]) -> None:
        # Calls before the state is read are not bet on; nothing is claimed about every call being seen.
        from penstock.routing.watcher import Watcher  # numpy, of the extra `local`, without which no policy has a fit

        try:
            await self._hold()
        except PenstockError as fault:
            _log.warning("policies are not watched yet: this process has no number", extra={"fault": fault.message})
            return
        slot = str(self._number.number)
        for one in new:
            policy, fit = one.policy, one.fit
            assert fit is not None
            watcher = Watcher(policy, fit, self._number.alarm, seed=self._number.number)
            try:
                rows = await self._records.read(lambda c, id=policy.id: store.watches(c, id))
                kept = next((row for row in rows if row.watcher == slot), None)
                if kept is not None:
                    watcher.resume(kept.state)
            except (PenstockError, ValueError) as fault:
                # A watch that begins anew could raise a false alarm once more than promised; one that is blind would be worse.
                _log.warning("a watch begins anew", extra={"policy": policy.id, "fault": str(fault)})
            self._watchers[policy.id] = watcher

    def _judged(self, event: Judged) -> None:
        task = self._tasks.find(event.organisation, event.task) if self._tasks is not None else None
        live = self._policies.of(task) if task is not None else None
        if task is None or live is None or began(event.outcome.item) < live.policy.changed_at:
            return
        watcher = self._watchers.get(live.policy.id)
        if watcher is not None:
            reference = (watcher.floor.reference or task.default) if watcher.floor.kind == "relative" else task.default
            watcher.judged(event.outcome, self._base(task, live), reference, len(task.candidates) - 1)

    def _base(self, task: Task, live: Live) -> float:
        chances = (task.sample, task.explore, self._audit if live.policy.kind == "cascade" else 0.0)
        return min((chance for chance in chances if chance > 0), default=1.0)

    async def _save(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._beat()
                await self.flush(SAVE_SECONDS)
                failing = False
            except PenstockError as fault:
                if not failing:
                    _log.warning("what watches policies have won cannot be saved", extra={"fault": fault.message})
                failing = True

    async def _beat(self) -> None:
        """Hold on to this process's number where it watches anything; where another has it by now, begin anew under another one."""
        if self._live:
            await self._hold()
            self._changed(self._live)

    async def _hold(self) -> None:
        """Hold on to this process's number. Who watches under another one has that one's share of false alarms, so that all begin anew."""
        if await self._number.hold() or not self._watchers:
            return
        _log.warning("this process was thought dead, and watches under another number from here on", extra={"number": self._number.number})
        self._watchers.clear()

    async def _embed(self) -> None:
        while True:
            policy, text = await self._queue.get()
            assert self._embedder is not None
            with contextlib.suppress(PenstockError):  # an embedding that cannot be made is a call that is not watched
                (vector,) = await self._embedder.embed([embedded(text)])
                import numpy as np  # lazy: of the extra `local`, which embeds

                watcher = self._watchers.get(policy)
                if watcher is not None:
                    watcher.call(np.frombuffer(vector, dtype=np.float32).astype(np.float64))

    def metrics(self) -> Iterable[Metric]:
        """How near each claim is to its suspension here, and what was suspended."""
        near = tuple(({"task": w.policy.task, "policy": w.policy.id}, w.evidence / w.limit) for w in self._watchers.values())
        if near:
            said = "What bets against a claim have made, as a share of what suspends it; 1 suspends."
            yield Metric(name="penstock_routing_alarm_ratio", help=said, kind="gauge", samples=near)
        left = tuple(({"task": w.policy.task, "policy": w.policy.id}, w.left) for w in self._watchers.values())
        if left:
            said = "Share of the kept evidence that a watch can still bet with; at 0 the task should be certified again."
            yield Metric(name="penstock_routing_watch_left_ratio", help=said, kind="gauge", samples=left)
        done = "Claims that this process suspended."
        yield Metric(name="penstock_routing_suspensions", help=done, kind="counter", samples=(({}, self.suspensions),))
        lost = "Calls that were to be watched and were not: too many waited for their embedding."
        yield Metric(name="penstock_routing_unwatched", help=lost, kind="counter", samples=(({}, self.unwatched),))


def began(item: str) -> float:
    """When the call with this id began, in Unix seconds; 0 for what is no call's id. An id begins with its milliseconds."""
    _, _, rest = item.partition("_")
    try:
        return int(rest[:12], 16) / 1e3 if item.startswith("call_") else 0.0
    except ValueError:
        return 0.0
