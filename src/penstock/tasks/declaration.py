"""What somebody declares of a task, in the settings and over the API alike, and the `Task` that comes of it.

Amounts are dollars here, as everywhere in the settings; a `Task` counts micro-dollars.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.tasks import DataClass, DetectorKind, Floor, Judge, JudgeKind, Place, Recertify, SliceFloor, Spending, Task

Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Line: TypeAlias = Annotated[str, Meta(max_length=300)]
Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300)]
LARGEST = 1_000_000_000.0
"""Dollars."""


class FloorDeclaration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How good the work has to be at least: ``[tasks.NAME.floor]``."""

    level: Annotated[float, Meta(gt=0, le=1, description="The mean score to reach, or the share of the reference's that is enough.")]
    kind: Annotated[
        Literal["absolute", "relative"] | None,
        Meta(description="Whether the level is a score or a share of the reference's score; default: relative where a reference is named."),
    ] = None
    reference: Annotated[
        Line, Meta(description="The candidate that a relative floor refers to; default: the task's default candidate.")
    ] = ""
    confidence: Annotated[
        float, Meta(ge=0.5, lt=1, description="How sure one has to be before a candidate is said to reach the floor.")
    ] = 0.95


class JudgeDeclaration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How an answer is judged: ``[tasks.NAME.judge]``. Each kind takes some of the fields (docs/tasks.md)."""

    kind: Annotated[
        JudgeKind,
        Meta(
            description="exact, numeric and regex compare with the example's target; json_schema checks the shape; code runs the example's"
            " tests; pairwise and rubric ask a model; groundedness asks the detector; human and outcome wait for people or the business."
        ),
    ]
    pattern: Annotated[
        Annotated[str, Meta(max_length=1000)] | None,
        Meta(description="regex, exact, numeric: where in the answer the result stands (Python's re); its first group where it has one."),
    ] = None
    tolerance: Annotated[float, Meta(ge=0, le=1, description="numeric: how far the number may be off, relative to the target.")] = 0.0
    ignore_case: Annotated[bool, Meta(description="exact, regex: whether case is ignored.")] = True
    schema: Annotated[dict[str, Any] | None, Meta(description="json_schema: the JSON Schema that an answer has to fit.")] = None
    model: Annotated[Line | None, Meta(description="pairwise, rubric: the model that judges.")] = None
    rubric: Annotated[
        Annotated[str, Meta(max_length=20_000)] | None, Meta(description="pairwise, rubric: what the judge is told to look for.")
    ] = None
    outcome: Annotated[Line | None, Meta(description="outcome: the name of the business outcome that is reported back.")] = None
    detector: Annotated[
        DetectorKind | None,
        Meta(
            description="groundedness: lexical (words alone), meaning (and the local embedding model) or tokens (the token classifier in"
            " quality.detector_folder); default: quality.detector."
        ),
    ] = None


class SliceDeclaration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A floor of its own for each group of the calls: an entry of ``slices``."""

    by: Annotated[
        str,
        Meta(
            pattern=r"^(class|language|length|team|label:[\w.-]{1,100})$",
            description="class (the example's target), language, length, team, or label:NAME.",
        ),
    ]
    level: Annotated[float, Meta(gt=0, le=1, description="The mean score that each group has to reach.")]
    least: Annotated[int, Meta(ge=1, le=1_000_000, description="Groups of fewer labels are not judged, and said to be so.")] = 30


class BudgetDeclaration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the task may cost: ``budget = { amount = 50.0, period = "month" }``. It is enforced (docs/tasks.md)."""

    amount: Annotated[float, Meta(ge=0, le=LARGEST, description="Dollars.")]
    period: Annotated[Literal["day", "week", "month"], Meta(description="Calendar periods in UTC; weeks begin on Monday.")] = "month"


class RecertifyDeclaration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the task is certified again by itself: ``recertify = { labels = 200, hours = 24 }`` (docs/routing.md)."""

    labels: Annotated[
        int, Meta(ge=30, le=1_000_000, description="Fresh prompts on which all candidates were judged that are wanted for an attempt.")
    ]
    hours: Annotated[float, Meta(ge=1, le=8760, description="Hours between two attempts, at least.")] = 24.0


class Declaration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task: ``[tasks.NAME]``, or the body of a request to ``/v1/tasks``."""

    owner: Annotated[str, Meta(min_length=1, max_length=300, description="Who answers for it: a team or a person.")]
    candidates: Annotated[
        tuple[Word, ...],
        Meta(max_length=50, description="What may do the work: provider/model, or aliases of one target. Empty: the default alone."),
    ] = ()
    default: Annotated[Line, Meta(description="The candidate that serves while no evidence chooses; default: the first.")] = ""
    mode: Annotated[
        Literal["default", "route", "cascade"],
        Meta(description="default: always ask it; route: evidence decides; cascade: a smaller one may also answer first."),
    ] = "route"
    description: Annotated[str, Meta(max_length=2000, description="What the work is.")] = ""
    kpi: Annotated[Line, Meta(description="The figure of the business that it serves.")] = ""
    initiative: Annotated[Line, Meta(description="The initiative that its cost and outcome are reported under.")] = ""
    metric: Annotated[Line, Meta(description="What the score is called.")] = ""
    judge: Annotated[JudgeDeclaration | None, Meta(description="How an answer is judged.")] = None
    floor: Annotated[FloorDeclaration | None, Meta(description="How good it has to be at least.")] = None
    slices: Annotated[tuple[SliceDeclaration, ...], Meta(max_length=20, description="Floors for groups of the calls.")] = ()
    latency_ms: Annotated[
        Annotated[float, Meta(gt=0, le=86_400_000)] | None,
        Meta(description="How long an answer may take, as an objective; a call's deadline is the caller's."),
    ] = None
    latency_quantile: Annotated[float, Meta(gt=0, lt=1, description="The share of the calls for which that is meant.")] = 0.95
    budget: Annotated[BudgetDeclaration | None, Meta(description="What it may cost.")] = None
    data_class: Annotated[
        DataClass, Meta(description="public, internal, confidential (vendors only where named), restricted (never to a vendor).")
    ] = "internal"
    places: Annotated[
        tuple[Place, ...],
        Meta(max_length=4, description="Where its data may go: device, own, region, vendor. Empty: where the data class allows."),
    ] = ()
    regions: Annotated[
        tuple[str, ...],
        Meta(max_length=50, description="Regions in which it must stay: eu-west-1, eu (any whose name begins with eu-), or eu*."),
    ] = ()
    guard: Annotated[Line, Meta(description="The guard policy that its calls need.")] = ""
    sample: Annotated[Share, Meta(description="Share of the served calls that is judged.")] = 0.0
    explore: Annotated[Share, Meta(description="Share of the calls that is also put to other candidates, behind the answer.")] = 0.0
    explore_budget: Annotated[float, Meta(ge=0, le=LARGEST, description="Dollars a month that this may cost.")] = 0.0
    recertify: Annotated[
        RecertifyDeclaration | None,
        Meta(description="When what was certified, or was suspended since, is certified again without anybody asking; default: never."),
    ] = None


def task_of(organisation: str, name: str, told: Declaration, *, shared: bool = False) -> Task:
    """The task that a declaration says. Raises nothing for one without faults (`penstock.tasks.validation`)."""
    default = told.default or next(iter(told.candidates), "")
    judge, floor, budget, again = told.judge, told.floor, told.budget, told.recertify
    task = Task(
        organisation=organisation,
        name=name,
        owner=told.owner,
        default=default,
        candidates=told.candidates or (default,),
        judge=_judge(judge) if judge is not None else None,
        floor=_floor(floor, default) if floor is not None else None,
        slices=tuple(SliceFloor(by=one.by, level=one.level, least=one.least) for one in told.slices),
        mode=told.mode,
        description=told.description,
        kpi=told.kpi,
        metric=told.metric,
        initiative=told.initiative,
        latency_ms=told.latency_ms,
        latency_quantile=told.latency_quantile,
        budget=Spending(amount=micro(budget.amount), period=budget.period) if budget is not None else None,
        data_class=told.data_class,
        places=told.places,
        regions=told.regions,
        guard=told.guard,
        sample=told.sample,
        explore=told.explore,
        explore_budget=micro(told.explore_budget),
        recertify=Recertify(labels=again.labels, hours=again.hours) if again is not None else None,
        shared=shared,
    )
    return msgspec.structs.replace(task, digest=digest_of(task))


def micro(dollars: float) -> int:
    """Dollars as micro-dollars."""
    return round(dollars * 1_000_000)


def digest_of(task: Task) -> str:
    """What changes whenever anything about the task does: 16 hex digits."""
    return sha256(msgspec.json.encode(msgspec.structs.replace(task, digest=""))).hexdigest()[:16]


def is_relative(floor: FloorDeclaration) -> bool:
    """Whether the floor is a share of a reference's score."""
    return floor.kind == "relative" or (floor.kind is None and floor.reference != "")


def _floor(told: FloorDeclaration, default: str) -> Floor:
    if is_relative(told):
        return Floor(level=told.level, kind="relative", confidence=told.confidence, reference=told.reference or default)
    return Floor(level=told.level, kind="absolute", confidence=told.confidence)


def _judge(told: JudgeDeclaration) -> Judge:
    return Judge(**{name: getattr(told, name) for name in JudgeDeclaration.__struct_fields__})
