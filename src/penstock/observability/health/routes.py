"""The JSON routes of measures and marks: what pages draw and rules watch, and the calls behind it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from penstock.kernel.measures import Asked, Example, Mark, MarkSources, Measure, MeasureSources, Reading, Unit
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Moment, Route
from penstock.observability.health.asking import Name, PeriodQuery, Readings, ReadingsQuery, asked, names_of, period, read
from penstock.observability.health.compare import Compared, CompareQuery, Comparison
from penstock.observability.health.files import MEDIA, Format, readings_file


class MeasureView(Struct, frozen=True, kw_only=True):
    """A measure; see `penstock.kernel.measures.Measure`."""

    name: str
    title: str
    help: str
    unit: Unit
    dimensions: list[str]
    worse: Literal["up", "down"] | None


class MeasureList(Struct, frozen=True, kw_only=True):
    """All measures that the house has."""

    data: list[MeasureView]


class ReadingsRequest(ReadingsQuery, frozen=True, kw_only=True):
    """Readings, and in which form: JSON, or a file with a row for each reading."""

    format: Literal["json", "csv", "parquet"] = "json"


class ExamplesQuery(PeriodQuery, frozen=True, kw_only=True):
    """Of when and of what examples are wanted, and how many."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 5


class ExampleList(Struct, frozen=True, kw_only=True):
    """Calls that moved the measure in its bad direction most, the worst first."""

    data: list[Example]


class MarksQuery(Struct, frozen=True, kw_only=True):
    """Of when marks are wanted; with ``task`` those of this task and those of all."""

    since: Moment
    until: Moment
    task: Name = ""


class MarkList(Struct, frozen=True, kw_only=True):
    """What happened then, in order."""

    data: list[Mark]


def view_of(measure: Measure) -> MeasureView:
    """A measure as the API shows it."""
    return MeasureView(
        name=measure.name,
        title=measure.title,
        help=measure.help,
        unit=measure.unit,
        dimensions=sorted(measure.dimensions),
        worse=measure.worse,
    )


def marks_of(marks: Sequence[Mark], task: str) -> list[Mark]:
    """Those that belong on a task's charts: its own, and those of all."""
    return [mark for mark in marks if not task or not mark.task or mark.task == task]


def rows_of(found: dict[str, list[Reading]]) -> list[tuple[str, Reading]]:
    """One row for each reading."""
    return [(name, reading) for name, readings in found.items() for reading in readings]


def health_routes(ports: Ports) -> Sequence[Route]:
    """The routes."""

    async def listed(ask: Ask) -> MeasureList:
        return MeasureList(data=[view_of(measure) for measure in ports.get(MeasureSources).all()])

    async def readings(ask: Ask) -> Any:
        query = ask.query(ReadingsRequest)
        question = asked(query, ask.principal.reach, time.time())
        names = names_of(query.names)
        found = dict(await read(ports.get(MeasureSources), names, question))
        if query.format != "json":
            return await answer(query.format, rows_of(found), names)
        step = None if query.whole else question.step
        return Readings(since=question.since, until=question.until, step=step, data=found)

    async def answer(format: Format, rows: list[tuple[str, Reading]], names: Sequence[str]) -> Any:
        # Starlette takes a tenth of a second to import; a command that only lists routes does not need it.
        from starlette.responses import Response

        name = f"penstock-{names[0]}.{format}" if len(names) == 1 else f"penstock-measures.{format}"
        headers = {
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        return Response(await readings_file(format, rows), headers=headers, media_type=MEDIA[format])

    async def examples(ask: Ask) -> ExampleList:
        query = ask.query(ExamplesQuery)
        source, measure = ports.get(MeasureSources).of(ask.path["name"])
        since, until = period(query, time.time())
        question = Asked(organisation=ask.principal.reach, since=since, until=until, step=until - since, equal=query.equal())
        return ExampleList(data=await source.examples(measure.name, question, query.limit))

    async def compare(ask: Ask) -> Compared:
        return await Comparison(ports.get(MeasureSources)).compared(ask.query(CompareQuery), ask.principal.reach, time.time())

    async def marks(ask: Ask) -> MarkList:
        query = ask.query(MarksQuery)
        found = await ports.get(MarkSources).marks(ask.principal.reach, query.since, query.until)
        return MarkList(data=marks_of(found, query.task))

    read_scope = Scope.READ
    off = {"404": "There is no such measure.", "503": "The readings cannot be had just now."}
    return (
        Route(method="GET", path="/v1/measures", handler=listed, summary="List measures.", scope=read_scope, returns=MeasureList),
        Route(
            method="GET",
            path="/v1/measures/readings",
            handler=readings,
            summary="Readings of measures over time.",
            scope=read_scope,
            query=ReadingsRequest,
            returns=Readings,
            files=tuple(MEDIA.values()),
            failures=off,
        ),
        Route(
            method="GET",
            path="/v1/measures/compare",
            handler=compare,
            summary="Measures of two periods, releases or models beside each other.",
            scope=read_scope,
            query=CompareQuery,
            returns=Compared,
            failures=off,
        ),
        Route(
            method="GET",
            path="/v1/measures/{name}/examples",
            handler=examples,
            summary="The calls behind a measure.",
            scope=read_scope,
            query=ExamplesQuery,
            returns=ExampleList,
            failures=off,
        ),
        Route(
            method="GET",
            path="/v1/marks",
            handler=marks,
            summary="Releases, alerts and incidents of a period.",
            scope=read_scope,
            query=MarksQuery,
            returns=MarkList,
        ),
    )


__all__ = ["health_routes", "marks_of", "view_of"]
