"""The line: slots in their fixed order, the Stage protocol, and how stages are strung together.

::

    record > authenticate > admit > charge > inspect > recall > choose > reserve > send

A stage is an onion, ``async (call, proceed) -> Reply``: what it does before ``proceed`` happens on the way in, what it does after on the
way back. A failure travels back as an exception through the same stages, so it is charged and recorded too. A reply may be a stream: a
stage that cares wraps ``reply.chunks``.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import perf_counter
from typing import Protocol, runtime_checkable

import msgspec

from penstock.kernel.call import Call, Reply

Proceed = Callable[[Call], Awaitable[Reply]]


class Slot(enum.IntEnum):
    """The stations of the line, outermost first. Several stages may share a slot; they keep the order of their capabilities."""

    RECORD = 10
    """Sees everything, refusals too: writes the record on the way back."""
    AUTHENTICATE = 20
    """Turns the credential into a principal, or refuses."""
    ADMIT = 30
    """Limits of the key, overload, draining: refuses early or lets in."""
    CHARGE = 40
    """Refuses when a budget is spent already; on the way back settles what the call cost, before the reply ends."""
    INSPECT = 50
    """Guards look at the request on the way in and at the reply on the way back."""
    RECALL = 60
    """Answers from what is known already."""
    CHOOSE = 70
    """Decides which models may serve the call, in order."""
    RESERVE = 80
    """Sets aside the most that the chosen models can cost, or refuses."""
    SEND = 90
    """Makes the attempts; the innermost station."""


class Stage(Protocol):
    """One station of the line. ``name`` is shown by ``penstock line`` and on the waterfall of a call."""

    name: str
    slot: Slot

    async def __call__(self, call: Call, proceed: Proceed) -> Reply: ...


@runtime_checkable
class Discerning(Stage, Protocol):
    """A stage that has to do with some calls only. The others go past it, at a tenth of what a stop costs."""

    def concerns(self, call: Call) -> bool:
        """Whether the call is to stop here; asked when it comes by, so what the stages before have changed counts. Must not fail."""
        ...


class StagePlace(msgspec.Struct, frozen=True):
    """Where a stage stands: slot, name, and the file and line of its code. What ``penstock line`` prints."""

    slot: str
    stage: str
    capability: str
    summary: str
    file: str
    line: int


class Line:
    """The stages strung together in slot order; ``walk(call)`` is one trip.

    Raises whatever a stage raises. A call that falls off the end (no stage in ``SEND`` answered) is a wiring mistake and fails loudly.
    """

    def __init__(self, stages: Iterable[tuple[str, Stage]]) -> None:
        self._stages: Sequence[tuple[str, Stage]] = sorted(stages, key=lambda pair: pair[1].slot)
        walk: Proceed = _end_of_line
        for _, stage in reversed(self._stages):
            walk = _joined(stage, walk)
        self.walk: Proceed = walk

    def part(self, slots: Iterable[Slot]) -> Proceed:
        """A trip through the stages of these slots alone, for what has been through the others before."""
        wanted, walk = frozenset(slots), _end_of_line
        for _, stage in reversed(self._stages):
            if stage.slot in wanted:
                walk = _joined(stage, walk)
        return walk

    def places(self) -> list[StagePlace]:
        """Slot, stage, capability, first sentence of its docstring, file and line, in the order of the line."""
        found: list[StagePlace] = []
        for capability, stage in self._stages:
            kind = type(stage)
            file = inspect.getsourcefile(kind) or "?"
            _, line = inspect.getsourcelines(kind)
            summary = (inspect.getdoc(kind) or "").split("\n", 1)[0]
            found.append(StagePlace(stage.slot.name.lower(), stage.name, capability, summary, file, line))
        return found


def _joined(stage: Stage, proceed: Proceed) -> Proceed:
    # Bound once: finding __call__ through the type costs a fifth of a microsecond each time.
    name, enter = stage.name, stage.__call__

    def step(call: Call) -> Awaitable[Reply]:
        call.reached.append((name, perf_counter()))
        return enter(call, proceed)

    if not isinstance(stage, Discerning):
        return step
    concerns = stage.concerns

    def pass_or_step(call: Call) -> Awaitable[Reply]:
        return step(call) if concerns(call) else proceed(call)

    return pass_or_step


async def _end_of_line(call: Call) -> Reply:
    raise RuntimeError(f"no stage answered {call.operation}: the line has nothing in its SEND slot")
