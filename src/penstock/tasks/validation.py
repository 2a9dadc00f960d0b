"""What is wrong with a declaration: where, what, and what to do about it.

`faults` looks at the declaration alone; `misfits` also asks what its candidates are and where they stand.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from penstock.kernel.candidates import Candidates, Traits, misplaced, places_of
from penstock.kernel.errors import RequestError, UnknownModel
from penstock.kernel.tasks import Place
from penstock.tasks.declaration import Declaration, FloorDeclaration, JudgeDeclaration, is_relative, task_of
from penstock.tasks.pattern import fault_of

_REGION = re.compile(r"[a-z0-9*-]{1,100}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TAKES: dict[str, tuple[str, ...]] = {
    "exact": ("pattern", "ignore_case"),
    "regex": ("pattern", "ignore_case"),
    "numeric": ("pattern", "tolerance"),
    "json_schema": ("schema",),
    "code": (),
    "pairwise": ("model", "rubric"),
    "rubric": ("model", "rubric"),
    "groundedness": ("detector",),
    "human": (),
    "outcome": ("outcome",),
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "regex": ("pattern",),
    "json_schema": ("schema",),
    "pairwise": ("model",),
    "rubric": ("model", "rubric"),
    "outcome": ("outcome",),
}
_NEVER = "a floor of 1 can never be shown, however many labels there are"
_LATE = ("human", "outcome")
"""Judges that say something later or never, so that nothing can be put to them in the shadow of an answer."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong: ``where`` is a path into the declaration (``floor.reference``), ``mend`` says what to do."""

    where: str
    what: str
    mend: str

    def said(self) -> str:
        """In one line."""
        return f"{self.where}: {self.what}; {self.mend}"


class Invalid(RequestError):
    """A declaration is wrong. ``faults`` are all that was found, of which the message tells each and ``param`` names the first."""

    default_code = "task_invalid"

    def __init__(self, found: Sequence[Fault]) -> None:
        super().__init__("; ".join(one.said() for one in found), param=found[0].where)
        self.faults = tuple(found)


def faults(name: str, told: Declaration) -> Iterator[Fault]:
    """What is wrong with a declaration whoever its candidates are."""
    if NAME.fullmatch(name) is None:
        yield Fault("name", f"{name[:150]!r} is no name of a task", "use at most 128 letters, digits, dots, dashes and underscores")
    yield from _texts(told)
    yield from _candidates(told)
    if told.floor is not None:
        yield from _floor(told.floor, told)
    for at, one in enumerate(told.slices):
        if one.level == 1:
            yield Fault(f"slices[{at}].level", _NEVER, "choose less, such as 0.99")
        if any(other.by == one.by for other in told.slices[:at]):
            yield Fault(f"slices[{at}].by", f"{one.by} has a floor already", "keep one of the two")
    if told.judge is not None:
        yield from _judge(told.judge)
    yield from _money(told)
    if told.recertify is not None and (told.floor is None or told.judge is None or told.mode == "default"):
        lacks = "floor" if told.floor is None else "judge" if told.judge is None else "mode"
        said = {"floor": "no floor is stated", "judge": "nobody judges answers", "mode": "the mode is default, so evidence chooses nothing"}
        yield Fault("recertify", f"{said[lacks]}, so there is nothing to certify again", "declare what is missing, or leave this out")
    yield from _places(told)


def misfits(organisation: str, name: str, told: Declaration, candidates: Candidates) -> Iterator[Fault]:
    """What is wrong with a declaration without `faults`, given who its candidates are: unknown ones, and none that may do the work."""
    task = task_of(organisation, name, told)
    known: dict[str, Traits] = {}
    for at, one in enumerate(task.candidates):
        try:
            known[one] = candidates.traits(candidates.resolve(one), organisation)
        except UnknownModel as fault:
            where = f"candidates[{at}]" if told.candidates else "default"
            yield Fault(where, fault.message, "name it as provider/model, of a provider that is configured")
    refused = {one: why for one, traits in known.items() if (why := misplaced(task, traits)) is not None}
    if known and len(refused) == len(task.candidates):
        each = "; ".join(f"{one}: {why}" for one, why in refused.items())
        yield Fault("places", f"no candidate may do this work: {each}", "name candidates that stand elsewhere, or other places")
    elif task.default in refused:
        others = ", ".join(one for one in known if one not in refused)
        yield Fault("default", f"{task.default} may never be asked: {refused[task.default]}", f"choose another default, such as {others}")
    judge = task.judge
    if judge is not None and judge.model:
        try:
            traits = candidates.traits(candidates.resolve(judge.model), organisation)
        except UnknownModel as fault:
            yield Fault("judge.model", fault.message, "name one that this Penstock can call")
        else:
            why = misplaced(task, traits)
            if why is not None:
                yield Fault("judge.model", f"{judge.model} would read the answers: {why}", "choose a judge that stands where they may go")


def _texts(told: Declaration) -> Iterator[Fault]:
    if not told.owner.strip():
        yield Fault("owner", "is blank", "name the team or person who answers for the task")
    for field in ("owner", "default", "description", "kpi", "initiative", "metric", "guard"):
        # PostgreSQL takes no text that holds one.
        if "\0" in getattr(told, field):
            yield Fault(field, "holds the character NUL", "leave it out")


def _candidates(told: Declaration) -> Iterator[Fault]:
    if not told.candidates and not told.default:
        yield Fault("candidates", "there is none, so nobody could do the work", "name at least one model as provider/model")
        return
    for at, one in enumerate(told.candidates):
        if one.startswith("task:"):
            yield Fault(f"candidates[{at}]", f"{one!r} is a task, and not who does one", "name a model as provider/model")
        elif one in told.candidates[:at]:
            yield Fault(f"candidates[{at}]", f"{one!r} stands there twice", "keep one of the two")
        elif "\0" in one:
            yield Fault(f"candidates[{at}]", "holds the character NUL", "leave it out")
    if told.default and told.candidates and told.default not in told.candidates:
        yield Fault("default", f"{told.default!r} is not among the candidates", _nearest(told.default, told.candidates))
    if told.mode == "cascade" and len(told.candidates) < 2:
        yield Fault("mode", "a cascade needs two candidates: one that answers first, one to go to", "name another, or choose another mode")


def _floor(floor: FloorDeclaration, told: Declaration) -> Iterator[Fault]:
    if floor.kind == "absolute" and floor.reference:
        yield Fault("floor.reference", "an absolute floor refers to nobody", 'leave it out, or say kind = "relative"')
    elif floor.reference and floor.reference not in (told.candidates or (told.default,)):
        yield Fault("floor.reference", f"{floor.reference!r} is not among the candidates", _nearest(floor.reference, told.candidates))
    if not is_relative(floor) and floor.level == 1:
        yield Fault("floor.level", _NEVER, "choose less, such as 0.99")
    if floor.confidence > 0.999_999:
        yield Fault("floor.confidence", f"nobody can be {floor.confidence} sure of anything measured", "0.95 is usual, 0.99 is strict")


def _judge(judge: JudgeDeclaration) -> Iterator[Fault]:
    kind = judge.kind
    for field in _NEEDED.get(kind, ()):
        if not getattr(judge, field):
            yield Fault(f"judge.{field}", f"a judge of kind {kind!r} needs it", f"add {field}, or choose another kind")
    plain = JudgeDeclaration(kind=kind)
    for field in JudgeDeclaration.__struct_fields__[1:]:
        if field not in TAKES[kind] and getattr(judge, field) != getattr(plain, field):
            takes = ", ".join(TAKES[kind]) or "no fields of its own"
            yield Fault(f"judge.{field}", f"a judge of kind {kind!r} has no use for it", f"leave it out; this kind takes {takes}")
    if judge.pattern and (wrong := fault_of(judge.pattern)) is not None:
        yield Fault("judge.pattern", f"{judge.pattern!r} {wrong}", "write it so that what repeats begins otherwise than what follows")
    if judge.schema is not None and (wrong := _schema_fault(judge.schema)) is not None:
        yield Fault("judge.schema", f"is no JSON Schema: {wrong}", "see https://json-schema.org/draft/2020-12")
    for field in ("pattern", "model", "rubric", "outcome"):
        if "\0" in (getattr(judge, field) or ""):
            yield Fault(f"judge.{field}", "holds the character NUL", "leave it out")


def _schema_fault(schema: dict[str, object]) -> str | None:
    # A tenth of a second to import, needed where somebody declares a schema.
    from jsonschema import exceptions, validators

    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except exceptions.SchemaError as fault:
        path = "/".join(str(one) for one in fault.absolute_path)
        return f"{fault.message[:300]}{f' at {path}' if path else ''}"
    return next(_refused_in(schema, ""), None)


def _refused_in(schema: object, path: str) -> Iterator[str]:
    """Patterns that take forever, and references that would be fetched."""
    if isinstance(schema, dict):
        for key, value in cast("dict[str, object]", schema).items():
            if key == "pattern" and isinstance(value, str) and (wrong := fault_of(value)) is not None:
                yield f"{path}/pattern {wrong}"
            elif key == "$ref" and isinstance(value, str) and not value.startswith("#"):
                yield f"{path}/$ref points out of the schema, and nothing is fetched"
            else:
                yield from _refused_in(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for at, value in enumerate(cast("list[object]", schema)):
            yield from _refused_in(value, f"{path}/{at}")


def _money(told: Declaration) -> Iterator[Fault]:
    if told.budget is not None and told.budget.amount < 0.000_001:
        yield Fault("budget.amount", "a budget of nothing refuses every call", "give an amount in dollars, or leave the budget out")
    if told.explore and not told.explore_budget:
        yield Fault("explore", "asking other candidates too costs money, and none is set aside", "give explore_budget, dollars a month")
    if told.explore_budget and not told.explore:
        yield Fault("explore_budget", "nothing is explored, so nothing is spent", "give explore, a share of the calls, or leave this out")
    if told.explore and len(told.candidates) < 2:
        yield Fault("explore", "there is no other candidate to put calls to", "name another, or leave this out")
    if told.explore and (told.judge is None or told.judge.kind in _LATE):
        said = "there is no judge" if told.judge is None else f"a judge of kind {told.judge.kind!r} never sees answers in the shadow"
        yield Fault("explore", f"{said}, so nobody would learn from what it costs", "declare a judge that says at once, or leave this out")


def _places(told: Declaration) -> Iterator[Fault]:
    for at, one in enumerate(told.places):
        if one in told.places[:at]:
            yield Fault(f"places[{at}]", f"{one!r} stands there twice", "keep one of the two")
    for at, one in enumerate(told.regions):
        if _REGION.fullmatch(one) is None:
            yield Fault(f"regions[{at}]", f"{one[:100]!r} is no region", "write it as the vendor does, such as eu-west-1, or a part of it")
    outside: tuple[Place, ...] = ("region", "vendor")
    if told.data_class == "restricted" and any(one in outside for one in told.places):
        yield Fault("places", "restricted data never goes to a vendor", "leave out region and vendor, or say confidential")
    elif not places_of(told.data_class, told.places, told.regions):
        yield Fault("places", f"{told.data_class} data may go nowhere at all", "name device or own")
    if "region" in told.places and not told.regions and "vendor" not in told.places:
        yield Fault("regions", "vendors are allowed in regions, and no region is named", "name them, such as eu, or allow vendor")


def _nearest(name: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(names)}"
