"""What routing does by itself from time to time: steps that must not keep each other from their work, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from penstock.kernel.errors import JournalInUse, PenstockError
from penstock.kernel.ports import Metric

_log = logging.getLogger("penstock.routing")
ROUND_SECONDS = 10.0

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """``work`` is done ``every`` so many seconds; 0 means each round."""

    name: str
    work: Callable[[], Awaitable[None]]
    every: float = 0.0


class Rounds:
    """Does the steps in order, round after round, from `begin` until `stop`."""

    def __init__(self, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self._steps = tuple(steps)
        self._clock = clock
        self._due: dict[str, float] = {}
        self._failing: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.faults: Counter[str] = Counter()

    def begin(self) -> None:
        """Go round from now on; once."""
        if self._task is None:
            self._task = asyncio.create_task(self._go(), name="routing rounds")

    async def stop(self) -> None:
        """Go round no more; what is under way is broken off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def once(self) -> None:
        """One round. What a step raises is said when it begins to fail, and counted each time."""
        for step in self._steps:
            now = self._clock()
            if now < self._due.get(step.name, now):
                continue
            self._due[step.name] = now + step.every
            try:
                await step.work()
                self._failing.discard(step.name)
            except JournalInUse:
                pass  # whoever works on the journal sees to it
            except Exception as fault:  # whatever it is: the next step, and this one's next round, are not to be lost by it
                self._failed(step, fault)

    def _failed(self, step: Step, fault: Exception) -> None:
        self.faults[step.name] += 1
        self._due.pop(step.name, None)  # the next round tries again
        if step.name in self._failing:
            return
        self._failing.add(step.name)
        at = {"step": step.name, "about": getattr(fault, "__notes__", [])}
        if isinstance(fault, PenstockError):
            _log.warning("a step of routing's rounds fails; it is tried again", extra={**at, "fault": fault.message, "code": fault.code})
        else:
            _log.error("a step of routing's rounds fails by a fault of ours; it is tried again", extra=at, exc_info=fault)

    async def _go(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(ROUND_SECONDS)

    def metrics(self) -> Iterable[Metric]:
        """Steps that failed."""
        if self.faults:
            found = tuple(({"step": name}, float(count)) for name, count in sorted(self.faults.items()))
            said = "Steps of what routing does by itself that failed and were tried again."
            yield Metric(name="penstock_routing_step_faults", help=said, kind="counter", samples=found)


async def each(found: Iterable[T], work: Callable[[T], Awaitable[None]], about: Callable[[T], str]) -> None:
    """Do it for each, whatever becomes of the others; the first fault is raised at the end, with a note of what it was about. At
    `JournalInUse` it ends at once: none of them is for this process."""
    first: Exception | None = None
    for one in found:
        try:
            await work(one)
        except JournalInUse:
            raise
        except Exception as fault:  # raised below; the others do not wait for it
            fault.add_note(about(one))
            first = first or fault
    if first is not None:
        raise first
