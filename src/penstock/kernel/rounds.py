"""What a room does by itself from time to time: steps that must not keep each other from their work, whatever becomes of one of them."""

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

ROUND_SECONDS = 10.0
"""Between two rounds, where a room does not say otherwise."""

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """``work`` is done ``every`` so many seconds; 0 means each round."""

    name: str
    work: Callable[[], Awaitable[None]]
    every: float = 0.0


class Rounds:
    """Does the steps of ``room`` in order, round after round every ``seconds``, from `begin` until `stop`.

    That another process works on the journal is no fault where ``alone`` is False: whoever it is sees to the step.
    """

    def __init__(
        self,
        room: str,
        steps: Sequence[Step],
        *,
        seconds: float = ROUND_SECONDS,
        alone: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._log = logging.getLogger(f"penstock.{room}")
        self._steps = tuple(steps)
        self._seconds = seconds
        self._alone = alone
        self._clock = clock
        self._due: dict[str, float] = {}
        self._failing: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.faults: Counter[str] = Counter()

    def begin(self) -> None:
        """Go round from now on; once."""
        if self._task is None:
            self._task = asyncio.create_task(self._go(), name=f"rounds of {self._room}")

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
            except JournalInUse as fault:
                if self._alone:
                    self._failed(step, fault)
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
            said = {"fault": fault.message, "code": fault.code}
            self._log.warning(f"a step of the rounds of {self._room} fails; it is tried again", extra=at | said)
        else:
            self._log.error(f"a step of the rounds of {self._room} fails by a fault of ours; it is tried again", extra=at, exc_info=fault)

    async def _go(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(self._seconds)

    def metrics(self) -> Iterable[Metric]:
        """Steps that failed."""
        if self.faults:
            found = tuple(({"step": name}, float(count)) for name, count in sorted(self.faults.items()))
            said = f"Steps of what {self._room} does by itself that failed and were tried again."
            yield Metric(name=f"penstock_{self._room}_step_faults", help=said, kind="counter", samples=found)


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
