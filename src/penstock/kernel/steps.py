"""What a run's steps mean, in the words of the room whose run it is: the journal keeps them and does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from penstock.kernel.journal import RunInfo, StepInfo

Family = Literal["model", "tool", "people", "wait", "child", "step"]
"""A question to a model, a call of a tool, people who were asked, a wait, another run, or anything else."""


class StepWords(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step as people read it. ``note`` stands beside the name and says nothing of what was written or answered; ``given`` and ``gave``
    may. ``state`` is empty for a step that went as it should. ``cost`` is micro-dollars, ``call`` the id of its call on the record, ``key``
    that under which its effect is written down. Of one that waits, ``open`` says that it still does."""

    family: Family
    name: str
    note: str = ""
    given: Any = None
    gave: Any = None
    state: str = ""
    fault: str = ""
    effect: str = ""
    cost: int | None = None
    tokens: int | None = None
    call: str = ""
    key: str = ""
    open: bool = False


class StepTeller(Protocol):
    """A room whose runs have steps of a kind of their own."""

    def knows(self, run: RunInfo) -> bool:
        """Whether the run is one of this room's."""
        ...

    def tell(self, run: RunInfo, steps: Sequence[StepInfo]) -> Mapping[int, StepWords]:
        """The steps that the room has words for, by number; never raises for a step that looks otherwise than it should."""
        ...

    def beside(self, run: RunInfo) -> str:
        """Address of a part of a page about the run, shown beside its steps; empty for none."""
        ...
