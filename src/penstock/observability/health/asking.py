"""Which readings are meant, as addresses of pages and routes say it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import Asked, Measure, MeasureSources, Reading
from penstock.kernel.web import Moment
from penstock.observability.health.measured import DIMENSIONS

Name = Annotated[str, Meta(max_length=500)]

STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 7 * 86_400)
"""Steps that read well on an axis of time, in seconds."""

DRAWN = 120
"""About as many steps as a chart shows."""

WHOLE = float(1 << 33)
"""A step that is longer than the time since 1970 (and until 2242): a period asked in such steps has one reading."""

DAY = 86_400.0


class Narrowed(Struct, frozen=True, kw_only=True):
    """What the calls must be of: values by dimension, several with commas between them, of which one must match."""

    task: Name = ""
    model: Name = ""
    answered: Name = ""
    provider: Name = ""
    team: Name = ""
    project: Name = ""
    key: Name = ""
    service: Name = ""
    release: Name = ""
    environment: Name = ""
    agent: Name = ""
    tool: Name = ""
    operation: Name = ""
    prompt: Name = ""
    kind: Name = ""
    source: Name = ""

    def equal(self) -> dict[str, tuple[str, ...]]:
        """The dimensions that are given, with their values."""
        given = {name: tuple(v.strip() for v in str(getattr(self, name)).split(",") if v.strip()) for name in DIMENSION_FIELDS}
        return {name: values for name, values in given.items() if values}


DIMENSION_FIELDS = Narrowed.__struct_fields__
assert set(DIMENSION_FIELDS) == DIMENSIONS


class PeriodQuery(Narrowed, frozen=True, kw_only=True):
    """A period (the last day, where nothing is said) and what is meant of it. Times are Unix seconds."""

    since: Moment | None = None
    until: Moment | None = None


class ReadingsQuery(PeriodQuery, frozen=True, kw_only=True):
    """Which measures, of when and of what. ``names`` has commas between them.

    ``step`` is in seconds, of which steps begin at whole multiples since 1970; without one there are about 120. ``whole`` gives one reading
    of the whole period instead. ``by`` is a dimension: its ``groups`` largest values have readings of their own, the rest together.
    """

    names: Annotated[str, Meta(min_length=1, max_length=2000)]
    step: Annotated[float, Meta(gt=0, le=366 * DAY)] | None = None
    whole: bool = False
    by: Name = ""
    groups: Annotated[int, Meta(ge=1, le=100)] = 12


class Readings(Struct, frozen=True, kw_only=True):
    """Readings by measure, in order of time; ``step`` is None where they are of the whole period."""

    since: float
    until: float
    step: float | None
    data: dict[str, list[Reading]]


def step_for(since: float, until: float) -> float:
    """A step that cuts the period into about `DRAWN`, never into more."""
    wanted = (until - since) / DRAWN
    return float(next((step for step in STEPS if step >= wanted), math.ceil(wanted / (7 * DAY)) * 7 * DAY))


def period(query: PeriodQuery, now: float) -> tuple[float, float]:
    """Its ends. Raises `MalformedRequest` where the end is not after the beginning."""
    until = query.until if query.until is not None else now
    since = query.since if query.since is not None else until - DAY
    if not since < until:
        raise MalformedRequest("until is after since", param="until")
    return since, until


def asked(query: ReadingsQuery, organisation: str | None, now: float) -> Asked:
    """The question, confined to an organisation. Raises `MalformedRequest`."""
    since, until = period(query, now)
    step = WHOLE if query.whole else query.step or step_for(since, until)
    return Asked(organisation=organisation, since=since, until=until, step=step, equal=query.equal(), by=query.by, groups=query.groups)


def names_of(text: str) -> list[str]:
    """Names with commas between them, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def answerable(measure: Measure, question: Asked) -> list[str]:
    """The dimensions of the question that a measure does not have: empty where it can be asked."""
    return [name for name in (*question.equal, *((question.by,) if question.by else ())) if name not in measure.dimensions]


async def read(sources: MeasureSources, names: Iterable[str], question: Asked) -> Mapping[str, list[Reading]]:
    """The readings; one of a whole period stands at its beginning."""
    found = await sources.readings(list(names), question)
    if question.step != WHOLE:
        return found
    return {name: [msgspec.structs.replace(one, at=question.since) for one in readings] for name, readings in found.items()}
