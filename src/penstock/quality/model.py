"""Datasets and evaluations as they are kept, and what an evaluation was asked to do."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.tasks import Floor, Judge, SliceFloor
from penstock.quality.bias.pairs import Attribute

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\w.\-:/ ]+$")]
Model = Annotated[str, Meta(min_length=1, max_length=300)]


class Dataset(Struct, frozen=True, kw_only=True):
    """One version of a dataset; never changed. ``digest`` is SHA-256 of its items, ``provenance`` says where they are from."""

    id: str
    organisation: str
    name: str
    version: int
    digest: str
    items: int
    size: int
    provenance: dict[str, Any]
    created_at: float
    created_by: str | None = None


class Status(enum.StrEnum):
    """Where an evaluation stands. ``stopped``: it ended before all was done, and ``why`` says why; what is done is kept and counts."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


ENDED = frozenset({Status.DONE, Status.STOPPED, Status.FAILED})
LIVE = frozenset(Status) - ENDED


class BiasTerms(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask the counterfactual twin of each item too, and compare the scores.

    ``keep`` are words that stay as they are in every twin; differences within ``tolerance``, either way, count as none.
    """

    attributes: Annotated[tuple[Attribute, ...], Meta(min_length=1, max_length=2)]
    keep: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(max_length=100)] = ()
    tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.05


class Terms(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is evaluated and how.

    ``candidates`` are names of models. ``reference`` is the one that the others are compared with, by a relative floor or a pairwise judge.
    ``slices`` have floors, ``by`` are further kinds of slices without. ``params`` go into every request (``temperature``,
    ``max_tokens``); ``system`` comes before every conversation. ``cap`` is the most that may be spent, in micro-dollars. ``limit`` takes
    so many items, drawn by their digests. ``fresh`` asks again what another evaluation had asked before.
    """

    candidates: Annotated[tuple[Model, ...], Meta(min_length=1, max_length=50)]
    judge: Judge
    reference: Model | None = None
    floor: Floor | None = None
    slices: tuple[SliceFloor, ...] = ()
    by: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    system: str = ""
    cap: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    fresh: bool = False
    bias: BiasTerms | None = None
    origin: Literal["run", "inspect"] = "run"


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wants evaluated: `Terms`, of which a task's own stand in for what is not said.

    ``dataset`` is an id, or a name for its last version. ``cap`` is micro-dollars.
    """

    dataset: Annotated[str, Meta(min_length=1, max_length=200)]
    task: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    name: Annotated[str, Meta(max_length=200)] = ""
    candidates: Annotated[tuple[Model, ...], Meta(max_length=50)] = ()
    judge: Judge | None = None
    reference: Model | None = None
    floor: Floor | None = None
    slices: Annotated[tuple[SliceFloor, ...], Meta(max_length=20)] = ()
    by: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=20)] = ()
    params: dict[str, Any] = {}
    system: Annotated[str, Meta(max_length=100_000)] = ""
    cap: Annotated[int, Meta(ge=0, lt=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    fresh: bool = False
    bias: BiasTerms | None = None


class Evaluation(Struct, frozen=True, kw_only=True):
    """One evaluation. ``cost`` is what it paid itself; answers that were paid before count as ``cached``."""

    id: str
    organisation: str
    key_id: str
    name: str
    task: str | None
    dataset: str
    terms: Terms
    status: Status
    created_at: float
    updated_at: float
    why: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    unjudged: int = 0
    waiting: int = 0
    cached: int = 0
    cost: int = 0
    judging_cost: int = 0
    rate: float = 0.0
    results: msgspec.Raw | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What a model said, as it is kept to be used again. ``id`` is the digest of the organisation and the request."""

    id: str
    organisation: str
    model: str
    text: str
    finish: str
    call: str
    cost: int
    latency_ms: float
    input_tokens: int
    output_tokens: int
    created_at: float
    answered_by: str = ""
    version: str = ""


class Score(Struct, frozen=True, kw_only=True):
    """One candidate's answer to one item, with its grade. ``state`` is ``judged``, ``unjudged``, ``waiting`` or ``failed`` (no answer)."""

    evaluation: str
    position: int
    candidate: str
    item: str
    state: str
    score: float | None
    judge: str
    reason: str
    detail: dict[str, Any]
    error: str | None
    text: str
    finish: str
    call: str
    cached: bool
    cost: int
    judging_cost: int
    paid: int
    latency_ms: float
    input_tokens: int
    output_tokens: int
    at: float
    answered_by: str = ""
    version: str = ""


class TwinScore(Struct, frozen=True, kw_only=True):
    """One candidate's answer to the twin of an item, with its grade, as `Score` has them."""

    evaluation: str
    position: int
    candidate: str
    attribute: str
    state: str
    score: float | None
    reason: str
    error: str | None
    call: str
    cached: bool
    judging_cost: int
    paid: int
    at: float


__all__ = [
    "ENDED",
    "LIVE",
    "Answer",
    "BiasTerms",
    "Dataset",
    "Evaluation",
    "Model",
    "Name",
    "Score",
    "Status",
    "Terms",
    "TwinScore",
    "Wanted",
]
