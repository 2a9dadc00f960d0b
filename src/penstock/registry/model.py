"""What the registry knows, and the states that a version goes through."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from penstock.kernel.errors import Conflict

Origin = Literal["vendor", "hub", "file", "trained"]
State = Literal["draft", "scanned", "signed", "evaluated", "approved", "revoked"]
Coverage = Literal["all", "task", "data_class"]
Word = Annotated[str, Meta(min_length=1, max_length=200)]
TargetName = Annotated[
    str, Meta(min_length=3, max_length=300, pattern=r"^[^/\s]+/\S+$", description="provider/model, as the gateway calls it.")
]

WEIGHTS: Mapping[str, str] = MappingProxyType({"draft": "scanned", "scanned": "signed", "signed": "evaluated", "evaluated": "approved"})
VENDOR: Mapping[str, str] = MappingProxyType({"draft": "evaluated", "evaluated": "approved"})
"""The one way forward. A vendor's endpoint has no weights here that could be scanned or signed."""


def advanced(origin: str, state: str, to: State) -> State:
    """The state after a step to ``to``. Raises `Conflict` when the version is not at the step before, which the message names.

    An approved version may be evaluated or approved again, for more than before; everything but a revoked version may be revoked.
    """
    if state == "revoked":
        raise Conflict("this version is revoked, for good; register a new version", code="version_revoked")
    way = VENDOR if origin == "vendor" else WEIGHTS
    if to == "revoked" or (state == "approved" and to == "approved"):
        return to
    if to not in way.values():
        raise Conflict(f"a version of origin {origin!r} is never {to!r}: there are no weights here", code="wrong_state")
    if way.get(state) == to:
        return to
    before = next(one for one, after in way.items() if after == to)
    raise Conflict(f"this version is {state!r}, and must be {before!r} to become {to!r}", code="wrong_state")


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a version is. ``targets`` are the names by which the gateway reaches it; a name belongs to one live version at a time.

    ``path`` is where its weights lie, below ``registry.weights``. ``prices`` are micro-dollars for a million tokens, ``speed`` measured
    figures with their units in the names, ``notes`` what other registries said of it; all three are shown and decide nothing. Weights may
    come later where ``source`` says where they are: a draft without a ``path`` stays one.
    """

    origin: Origin
    targets: Annotated[tuple[TargetName, ...], Meta(max_length=50)] = ()
    source: Annotated[str, Meta(max_length=500)] = ""
    path: Annotated[str, Meta(max_length=500)] = ""
    licence: Annotated[str, Meta(max_length=200)] = ""
    base_model: Annotated[str, Meta(max_length=300)] = ""
    profile: Annotated[str, Meta(max_length=100)] = ""
    context: Annotated[int, Meta(ge=0)] = 0
    modalities: Annotated[tuple[Word, ...], Meta(max_length=20)] = ()
    prices: dict[str, float] = {}
    speed: dict[str, float] = {}
    notes: Annotated[dict[Word, Annotated[str, Meta(max_length=500)]], Meta(max_length=100)] = {}


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an evaluation found: the metric, its value with an interval, on how many examples of what.

    ``evaluation`` is the id of the evaluation, where it was made here.
    """

    metric: Word
    value: float
    low: float | None = None
    high: float | None = None
    examples: Annotated[int, Meta(ge=1)] = 1
    dataset: Annotated[str, Meta(max_length=300)] = ""
    task: Annotated[str, Meta(max_length=200)] = ""
    evaluation: Annotated[str, Meta(max_length=200)] = ""

    def same_as(self, other: Evidence) -> bool:
        """Whether it tells anew what ``other`` told: the same metric of the same evaluation for the same task."""
        return self.evaluation != "" and (self.evaluation, self.metric, self.task) == (other.evaluation, other.metric, other.task)


class Approval(Struct, frozen=True, kw_only=True):
    """What a version was approved for, by whom: ``coverage`` is everything, one ``task``, or one data class."""

    coverage: Coverage
    name: str
    by: str
    person: str | None
    at: float
    reason: str


class Model(Struct, frozen=True, kw_only=True):
    """A name under which versions are kept."""

    id: str
    organisation: str
    name: str
    description: str
    created_at: float
    created_by: str


class Version(Struct, frozen=True, kw_only=True):
    """One version of a model.

    ``home`` says that its organisation runs the installation, so that it counts for all. ``digest`` is SHA-256 of its weights, empty
    before they were scanned; ``makers`` are the keys and people who made or changed it, none of whom may approve it. ``scan`` is the last
    report, ``signature`` who signed and when.
    """

    id: str
    model: str
    organisation: str
    home: bool
    number: int
    state: State
    facts: Facts
    digest: str
    scan: dict[str, Any]
    signature: dict[str, Any]
    evidence: tuple[Evidence, ...]
    approvals: tuple[Approval, ...]
    makers: tuple[str, ...]
    created_at: float
    changed_at: float


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the audit trail. ``digest`` is SHA-256 over the line and the ``digest`` of the organisation's line before it."""

    id: int
    organisation: str
    model: str
    version: str
    action: str
    before: str
    after: str
    by: str
    person: str | None
    at: float
    why: str
    digest: str


Row: TypeAlias = Mapping[str, Any]
