"""What the Health page shows: charts on one axis of time, the figures of the period beside those of the one before, and what is marked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlencode

from msgspec import Struct, structs

from penstock.kernel.measures import Asked, Mark, MarkSources, Measure, MeasureSources, Reading
from penstock.kernel.web import Moment
from penstock.observability.health.asking import DIMENSION_FIELDS, WHOLE, Name, Narrowed, answerable, step_for
from penstock.observability.health.measured import DIMENSIONS
from penstock.observability.health.panels import UNITS, Charts, panels_of
from penstock.observability.health.routes import marks_of
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.store import TelemetryStore

LAST = {
    "3600": "Last hour",
    "21600": "Last 6 hours",
    "86400": "Last day",
    "604800": "Last 7 days",
    "1209600": "Last 14 days",
    "2592000": "Last 30 days",
}
BY = {
    "": "Nothing",
    "model": "Model",
    "task": "Task",
    "team": "Team",
    "release": "Release",
    "provider": "Provider",
    "answered": "Answered by",
}
GROUPS = 8
"""Lines of a chart that is grouped: as many as there are colours."""

TILES = ("calls", "error_rate", "latency_p95_ms", "first_token_p50_ms", "ungrounded_rate", "spend_usd")
CHOICES = (("task", "model", "team"), ("release", "service"))
"""What the page offers values of, asked for together."""

FAR = 10.0
"""Changes by more than this are not told as a share."""


class PageQuery(Narrowed, frozen=True, kw_only=True):
    """The address of the Health page: the last so many seconds, or a period with two ends; of what; a line for each value of what."""

    last: Name = "86400"
    since: Moment | None = None
    until: Moment | None = None
    by: Name = ""

    def period(self, now: float) -> tuple[float, float, float]:
        """Beginning, end and step, whole steps all."""
        if self.since is not None and self.until is not None and self.since < self.until:
            step = step_for(self.since, self.until)
            return math.floor(self.since / step) * step, math.ceil(self.until / step) * step, step
        seconds = float(self.last)
        step = step_for(0, seconds)
        until = (math.floor(now / step) + 1) * step
        return until - math.ceil(seconds / step) * step, until, step


class Tile(Struct, frozen=True, kw_only=True):
    """A figure of the whole period. ``change`` is the share by which it differs from the period before, None where there was
    none, or next to none."""

    measure: Measure
    unit: str
    value: float | None
    low: float | None
    high: float | None
    before: float | None
    change: float | None
    tone: str


class Shown(Struct, frozen=True, kw_only=True):
    """What the page draws."""

    since: float
    until: float
    step: float
    charts: list[dict[str, Any]]
    tiles: list[Tile]
    marks: list[Mark]
    choices: Mapping[str, list[str]]
    calls: str
    all: str


class Health:
    """Asks the sources for what the page shows."""

    def __init__(self, sources: MeasureSources, marks: MarkSources, store: TelemetryStore | None) -> None:
        self._sources = sources
        self._marks = marks
        self._store = store

    async def shown(self, query: PageQuery, organisation: str | None, now: float) -> Shown:
        """Everything of a page. Raises what the sources raise."""
        since, until, step = query.period(now)
        equal = query.equal()
        question = Asked(organisation=organisation, since=since, until=until, step=step, equal=equal, by=query.by, groups=GROUPS)
        panels = panels_of(self._sources.all())
        charts = Charts(self._sources, question)
        found, tiles, marks, choices = await asyncio.gather(
            self._sources.readings(charts.wanted(panels), question),
            self._tiles(question),
            self._marks.marks(organisation, since, until),
            self.choices(organisation, since, until, equal),
        )
        happened = marks_of(marks, query.task)
        link = f"/console/traces?{urlencode(self._narrowing(equal))}&since=SINCE&until=UNTIL"
        drawn = [charts.chart(panel, found, happened, link) for panel in panels]
        return Shown(
            since=since,
            until=until,
            step=step,
            charts=drawn,
            tiles=tiles,
            marks=happened,
            choices=choices,
            calls=link.replace("SINCE", f"{since:.0f}").replace("UNTIL", f"{until:.0f}"),
            all=charts.query(charts.wanted(panels)),
        )

    async def _tiles(self, question: Asked) -> list[Tile]:
        measures = {one.name: one for one in self._sources.all()}
        whole = structs.replace(question, step=WHOLE, by="")
        names = [name for name in TILES if name in measures and not answerable(measures[name], whole)]
        before = structs.replace(whole, since=question.since - (question.until - question.since), until=question.since)
        now, then = await asyncio.gather(self._sources.readings(names, whole), self._sources.readings(names, before))
        return [_tile(measures[name], _one(now[name]), _one(then[name])) for name in names]

    async def choices(
        self,
        organisation: str | None,
        since: float,
        until: float,
        equal: Mapping[str, tuple[str, ...]],
        dimensions: Sequence[Sequence[str]] = CHOICES,
    ) -> dict[str, list[str]]:
        """The values that calls of the period have, so that a reader can pick one; those that are picked are among them."""
        found = {name: set(equal.get(name, ())) for names in dimensions for name in names}
        if self._store is not None:
            which = Filter(organisation=organisation, since_ns=int(since * 1e9), until_ns=int(until * 1e9), equal={"kind": ("call",)})
            answers = await asyncio.gather(*(self._store.groups(which, names, 500) for names in dimensions))
            for names, groups in zip(dimensions, answers, strict=True):
                for group in groups:
                    for name, value in zip(names, group.values, strict=True):
                        found[name].add(value)
        return {name: sorted(values - {""}) for name, values in found.items()}

    def _narrowing(self, equal: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
        return {"kind": "call", **{name: values[0] for name, values in equal.items() if len(values) == 1}}


def _one(readings: Sequence[Reading]) -> Reading | None:
    return readings[0] if readings else None


def _tile(measure: Measure, now: Reading | None, then: Reading | None) -> Tile:
    value, before = now.value if now is not None else None, then.value if then is not None else None
    change = (value - before) / before if value is not None and before else None
    if change is not None and abs(change) >= FAR:
        change = None  # a percentage says nothing of what has hardly been there before
    tone = "neutral"
    if change is not None and measure.worse is not None and abs(change) >= 0.005:
        tone = "bad" if (change > 0) == (measure.worse == "up") else "ok"
    return Tile(
        measure=measure,
        unit=UNITS[measure.unit],
        value=_scaled(measure, value),
        low=_scaled(measure, now.low if now is not None else None),
        high=_scaled(measure, now.high if now is not None else None),
        before=_scaled(measure, before),
        change=change,
        tone=tone,
    )


def _scaled(measure: Measure, value: float | None) -> float | None:
    return value * 1e6 if value is not None and measure.unit == "usd" else value


def picked(query: Narrowed) -> dict[str, list[str]]:
    """The choices of a page that does not know any others yet: what is picked."""
    equal = query.equal()
    return {name: sorted(equal.get(name, ())) for names in CHOICES for name in names}


def fields_of(query: Narrowed) -> dict[str, str]:
    """What an address says of the calls, without what goes without saying."""
    named = {name: cast("str", getattr(query, name, "")) for name in (*DIMENSION_FIELDS, "by")}
    return {name: value for name, value in named.items() if value}


__all__ = ["BY", "DIMENSIONS", "LAST", "Health", "PageQuery", "Shown", "Tile", "fields_of", "picked"]
