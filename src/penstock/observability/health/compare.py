"""Two sides of the same measures: this period and one before it, two releases, two models; and whether they differ."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, structs

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import Asked, Measure, MeasureSources, Reading
from penstock.observability.health.asking import WHOLE, Name, PeriodQuery, answerable, names_of, period, step_for
from penstock.observability.health.measured import DIMENSIONS, PROPORTIONS
from penstock.observability.health.panels import UNITS, Charts, panels_of
from penstock.statistics.bounds import wilson

Verdict = Literal["apart", "overlap", "beyond_chance", "within_chance", ""]
"""Of estimates, whether their 95 % intervals overlap. Of shares of calls that were counted, whether the 95 % interval of the difference has
0 in it. Empty where neither can be said."""

PERIOD = "period"
WEEK = 7 * 86_400.0


class CompareQuery(PeriodQuery, frozen=True, kw_only=True):
    """What is compared: with ``what=period`` the period with the one before it (``against=before``) or the same days a week earlier
    (``against=week``); else the calls that have the value ``a`` of the dimension ``what`` with those that have ``b``.

    ``names`` are measures with commas between them, all where there are none.
    """

    what: Name = PERIOD
    a: Name = ""
    b: Name = ""
    against: Literal["before", "week"] = "before"
    names: Name = ""


class Side(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the two: the reading of its whole period, None where there is none."""

    value: float | None
    count: int
    low: float | None = None
    high: float | None = None


class Difference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measure on both sides. ``difference`` is a minus b, ``relative`` that as a share of b; ``low`` and ``high`` bound the difference
    with 95 % confidence where it is one of shares of calls."""

    measure: str
    title: str
    unit: str
    a: Side
    b: Side
    difference: float | None = None
    relative: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Verdict = ""
    better: bool | None = None


class Compared(Struct, frozen=True, kw_only=True):
    """Both sides by measure. ``left_out`` are measures that do not know a dimension that was asked for."""

    what: str
    a: str
    b: str
    since: float
    until: float
    against_since: float
    against_until: float
    data: list[Difference]
    left_out: list[str]


class Sides(Struct, frozen=True, kw_only=True):
    """The two questions, with the names of their answers."""

    a: Asked
    b: Asked
    a_label: str
    b_label: str


def sides_of(query: CompareQuery, organisation: str | None, now: float) -> Sides:
    """The two questions in steps that a chart shows. Raises `MalformedRequest` for what cannot be compared."""
    since, until = period(query, now)
    step = step_for(since, until)
    # Whole steps, so that the second side's fall onto the first one's, and as many as the period is long: hours of a day stay together.
    steps = math.ceil((until - since) / step)
    until = math.ceil(until / step) * step
    since = until - steps * step
    whole = Asked(organisation=organisation, since=since, until=until, step=step, equal=query.equal())
    if query.what == PERIOD:
        back = WEEK if query.against == "week" else until - since
        back = math.ceil(back / step) * step
        label = "A week earlier" if query.against == "week" else "The period before"
        return Sides(a=whole, b=structs.replace(whole, since=since - back, until=until - back), a_label="This period", b_label=label)
    if query.what not in DIMENSIONS:
        raise MalformedRequest(f"what is {PERIOD} or one of {', '.join(sorted(DIMENSIONS))}", param="what")
    if not query.a or not query.b:
        raise MalformedRequest(f"a and b are the two values of {query.what} to compare", param="b" if query.a else "a")

    def of(value: str) -> Asked:
        return structs.replace(whole, equal={**whole.equal, query.what: (value,)})

    return Sides(a=of(query.a), b=of(query.b), a_label=query.a, b_label=query.b)


class Comparison:
    """Asks the sources for both sides."""

    def __init__(self, sources: MeasureSources) -> None:
        self._sources = sources

    async def compared(self, query: CompareQuery, organisation: str | None, now: float) -> Compared:
        """The figures of both sides. Raises what `sides_of` and the sources raise, `NotFound` for a measure that nobody knows."""
        sides = sides_of(query, organisation, now)
        asked = names_of(query.names)
        measures = [self._sources.of(name)[1] for name in asked] if asked else self._sources.all()
        fitting = [one for one in measures if not answerable(one, sides.a)]
        names = [one.name for one in fitting]
        a, b = await asyncio.gather(
            self._sources.readings(names, structs.replace(sides.a, step=WHOLE)),
            self._sources.readings(names, structs.replace(sides.b, step=WHOLE)),
        )
        return Compared(
            what=query.what,
            a=sides.a_label,
            b=sides.b_label,
            since=sides.a.since,
            until=sides.a.until,
            against_since=sides.b.since,
            against_until=sides.b.until,
            data=[difference(one, _side(a[one.name]), _side(b[one.name])) for one in fitting],
            left_out=[one.name for one in measures if one not in fitting],
        )

    async def charts(self, query: CompareQuery, organisation: str | None, now: float) -> list[dict[str, Any]]:
        """One chart for each panel's first measure, with a line for each side; the second lies on the first one's axis of time."""
        sides = sides_of(query, organisation, now)
        panels = [panel for panel in panels_of(self._sources.all()) if panel.shown]
        measures = {one.name: one for one in self._sources.all()}
        names = [panel.lead for panel in panels if not answerable(measures[panel.lead], sides.a)]
        a, b = await asyncio.gather(self._sources.readings(names, sides.a), self._sources.readings(names, sides.b))
        shift = sides.a.since - sides.b.since
        first = Charts(self._sources, sides.a)
        drawn: list[dict[str, Any]] = []
        for panel in panels:
            if panel.lead not in names:
                continue
            measure = measures[panel.lead]
            series = first.series(measure, sides.a_label, a[panel.lead]) + first.series(
                measure, sides.b_label, _moved(b[panel.lead], shift)
            )
            shown = any(one.value is not None for one in (*a[panel.lead], *b[panel.lead]))
            drawn.append(
                {
                    "id": panel.id,
                    "title": measure.title,
                    "sub": measure.help,
                    "unit": UNITS[measure.unit],
                    "x": first.times if shown else [],
                    "series": series,
                    "step": int(sides.a.step),
                    "query": first.query([panel.lead]),
                    "other": Charts(self._sources, sides.b).query([panel.lead]),
                }
            )
        return drawn


def difference(measure: Measure, a: Side, b: Side) -> Difference:
    """How ``a`` differs from ``b``, and whether that is more than sampling or chance makes."""
    found = Difference(measure=measure.name, title=measure.title, unit=measure.unit, a=a, b=b)
    if a.value is None or b.value is None:
        return found
    by = a.value - b.value
    low, high, verdict = None, None, ""
    if a.low is not None and a.high is not None and b.low is not None and b.high is not None:
        verdict = "overlap" if a.low <= b.high and b.low <= a.high else "apart"
    elif measure.name in PROPORTIONS:
        low, high = of_shares(a.value, a.count, b.value, b.count)
        verdict = "within_chance" if low <= 0 <= high else "beyond_chance"
    better = None
    if verdict in ("apart", "beyond_chance") or (not verdict and by):
        better = None if measure.worse is None else (by < 0) == (measure.worse == "up")
    return structs.replace(
        found, difference=by, relative=by / b.value if b.value else None, low=low, high=high, verdict=verdict, better=better
    )


def of_shares(a: float, n: int, b: float, m: int) -> tuple[float, float]:
    """95 % bounds of the difference of two independent shares of ``n`` and ``m``, from Wilson's of each (Newcombe 1998, method 10)."""
    a_low, a_high = wilson(min(n, round(a * n)), n)
    b_low, b_high = wilson(min(m, round(b * m)), m)
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def _side(readings: Sequence[Reading]) -> Side:
    if not readings:
        return Side(value=None, count=0)
    one = readings[0]
    return Side(value=one.value, count=one.count, low=one.low, high=one.high)


def _moved(readings: Sequence[Reading], by: float) -> list[Reading]:
    return [structs.replace(one, at=one.at + by) for one in readings]


SAID: Mapping[Verdict, str] = {
    "apart": "intervals apart",
    "overlap": "intervals overlap",
    "beyond_chance": "more than chance",
    "within_chance": "no more than chance",
    "": "",
}
"""Verdicts in the page's words."""
