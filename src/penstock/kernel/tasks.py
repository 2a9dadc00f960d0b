"""Tasks: named pieces of work that the business cares about, as every room sees them, and the port through which they are found.

A caller asks for ``model="task:support.intent"`` (or names the task in a header beside a plain model). The task says how good the work
has to be and who judges it, what it may cost and where its data may go; the rooms act on it: routing chooses, the registry refuses,
quality measures, finops limits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from penstock.kernel.events import Event

TASK_PREFIX = "task:"
"""What stands before a task's name where a model's is expected."""

DataClass = Literal["public", "internal", "confidential", "restricted"]
Place = Literal["device", "own", "region", "vendor"]
JudgeKind = Literal["exact", "regex", "numeric", "json_schema", "code", "pairwise", "rubric", "groundedness", "human", "outcome"]
DetectorKind = Literal["lexical", "meaning", "tokens"]
"""How groundedness is judged: by words alone, by words and an embedding model, or by a token classifier that the settings name."""


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """A quality to reach. ``absolute``: a mean score of at least ``level``. ``relative``: at least ``level`` times the reference's.

    ``reference`` names the candidate that a relative floor refers to; None where the scores are given side by side anyway. Raises
    ValueError for a level or a confidence that no evidence could speak to.
    """

    level: float
    kind: Literal["absolute", "relative"] = "relative"
    confidence: float = 0.95
    reference: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level <= 1:
            raise ValueError(f"a floor's level lies above 0 and at most at 1, not at {self.level}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"a confidence lies between 0 and 1, not at {self.confidence}")


class Judge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an answer to the task is judged; a score from 0 to 1 comes of it.

    ``exact``, ``numeric`` and ``regex`` compare with the example's target (``pattern`` says where in the answer it stands, ``tolerance``
    how far a number may be off, relative to the target); ``json_schema`` checks against ``schema``; ``code`` runs the example's tests;
    ``pairwise`` and ``rubric`` ask ``model`` with ``rubric``; ``groundedness`` asks ``detector``, or the one of the settings; ``human`` and
    ``outcome`` wait for people or the business to say.
    """

    kind: JudgeKind
    pattern: str | None = None
    tolerance: float = 0.0
    ignore_case: bool = True
    schema: dict[str, Any] | None = None
    model: str | None = None
    rubric: str | None = None
    outcome: str | None = None
    detector: DetectorKind | None = None


class SliceFloor(msgspec.Struct, frozen=True, kw_only=True):
    """A floor of its own for each group of the calls, so that an average cannot hide a broken one.

    ``by`` is ``class`` (the example's target), ``language``, ``length``, ``team`` or ``label:NAME``. ``level`` is absolute. Groups of
    fewer than ``least`` labels are not judged, and said to be so.
    """

    by: str
    level: float
    least: int = 30


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """A budget: ``amount`` in micro-dollars a ``period``."""

    amount: int
    period: Literal["day", "week", "month"] = "month"


class Recertify(msgspec.Struct, frozen=True, kw_only=True):
    """When what was certified is certified again without anybody asking: after so many fresh ``labels``, at most once in ``hours``."""

    labels: int
    hours: float


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as declared. ``candidates`` are names of models as the gateway knows them (``provider/model`` or an alias of one target).

    ``default`` is the candidate that serves while there is no proof for a cheaper one. ``mode``: ``default`` always asks it, ``route``
    lets evidence decide, ``cascade`` also lets a smaller one answer first. ``latency_ms`` is the objective for ``latency_quantile`` of
    the calls. ``places`` and ``regions`` say where the data may go; empty places mean what the data class allows. ``sample`` is the share
    of the served calls that is judged; ``explore`` the share that is also put to other candidates, in the shadow of the answer, for at
    most ``explore_budget`` micro-dollars a month. ``recertify`` None: only who asks certifies. ``shared`` tasks stand
    in the settings: they belong to the organisation that runs the installation, and every other one finds them too. ``digest`` changes
    whenever anything here does.
    """

    organisation: str
    name: str
    owner: str
    default: str
    candidates: tuple[str, ...]
    judge: Judge | None = None
    floor: Floor | None = None
    slices: tuple[SliceFloor, ...] = ()
    mode: Literal["default", "route", "cascade"] = "route"
    description: str = ""
    kpi: str = ""
    metric: str = ""
    initiative: str = ""
    latency_ms: float | None = None
    latency_quantile: float = 0.95
    budget: Spending | None = None
    data_class: DataClass = "internal"
    places: tuple[Place, ...] = ()
    regions: tuple[str, ...] = ()
    guard: str = ""
    sample: float = 0.0
    explore: float = 0.0
    explore_budget: int = 0
    recertify: Recertify | None = None
    shared: bool = False
    digest: str = ""


class Tasks(Protocol):
    """The tasks there are, from memory, in microseconds. A change made by any process is seen within a second."""

    @property
    def version(self) -> int:
        """Grows whenever any task changes, so that what was derived from them can be kept until then."""
        ...

    def find(self, organisation: str, name: str) -> Task | None:
        """The organisation's task of this name, or else the shared one."""
        ...

    def all(self, organisation: str | None = None) -> Sequence[Task]:
        """Every task that `find` gives the organisation, or every one there is where None, by name."""
        ...


@dataclass(frozen=True, slots=True)
class TasksChanged(Event):
    """Tasks were declared, replaced or deleted, by this process or another."""


class GuardPolicies(Protocol):
    """The guard policies that somebody enforces; nobody provides it where there are none."""

    def names(self) -> Collection[str]:
        """Their names."""
        ...


__all__ = [
    "TASK_PREFIX",
    "DataClass",
    "DetectorKind",
    "Floor",
    "GuardPolicies",
    "Judge",
    "JudgeKind",
    "Place",
    "Recertify",
    "SliceFloor",
    "Spending",
    "Task",
    "Tasks",
    "TasksChanged",
]
