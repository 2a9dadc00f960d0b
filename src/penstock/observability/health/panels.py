"""The charts of the Health page: which measures share one, and what the chart part needs to draw them on one axis of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from msgspec import Struct, structs

from penstock.kernel.measures import Asked, Mark, Measure, MeasureSources, Reading, Unit
from penstock.observability.health.asking import answerable

Kind = Literal["line", "area", "bars", "stacked"]


class Panel(Struct, frozen=True, kw_only=True):
    """A chart: the measures on it, each under a short name. Where it is grouped, only ``lead`` is drawn, a line for each group.

    ``lack`` is what the page says where the house knows none of its measures; empty where the chart is then left out.
    """

    id: str
    title: str
    sub: str
    shown: tuple[tuple[str, str], ...]
    lead: str
    kind: Kind = "line"
    lack: str = ""


PANELS = (
    Panel(
        id="latency",
        title="Latency",
        sub="Whole calls, by percentile",
        shown=(("latency_p50_ms", "p50"), ("latency_p95_ms", "p95"), ("latency_p99_ms", "p99")),
        lead="latency_p95_ms",
    ),
    Panel(
        id="first_token",
        title="Time to first token",
        sub="Streamed replies",
        shown=(("first_token_p50_ms", "p50"), ("first_token_p95_ms", "p95")),
        lead="first_token_p95_ms",
    ),
    Panel(
        id="errors",
        title="Failed and refused",
        sub="Share of all calls",
        shown=(("error_rate", "Failed"), ("refusal_rate", "Refused")),
        lead="error_rate",
    ),
    Panel(
        id="ungrounded",
        title="Hallucination rate",
        sub="Replies that their context does not support; the band is the 95 % interval",
        shown=(("ungrounded_rate", "Ungrounded"),),
        lead="ungrounded_rate",
        lack="Nothing here measures it yet. It needs live replies that are judged for groundedness.",
    ),
    Panel(
        id="quality",
        title="Quality",
        sub="Scores of live replies, 1 is best; bands are 95 % intervals",
        shown=(("quality_score", "Judged"), ("human_score", "People")),
        lead="quality_score",
    ),
    Panel(
        id="guards",
        title="Guard verdicts",
        sub="Share of all calls",
        shown=(("blocked_rate", "Blocked"), ("flagged_rate", "Flagged")),
        lead="blocked_rate",
    ),
    Panel(id="spend", title="Spend", sub="Per step of time", shown=(("spend_usd", "Spend"),), lead="spend_usd", kind="bars"),
    Panel(
        id="tokens",
        title="Tokens",
        sub="Per step of time",
        shown=(("input_tokens", "In"), ("output_tokens", "Out")),
        lead="output_tokens",
        kind="stacked",
    ),
    Panel(id="calls", title="Calls", sub="Per step of time", shown=(("calls", "Calls"),), lead="calls", kind="area"),
)

DRIFT = "drift"
"""Measures of drift begin with this, whoever knows them."""

UNITS: Mapping[Unit, str] = {"ms": "ms", "share": "fraction", "usd": "micros", "tokens": "count", "count": "count", "score": "score"}
"""Our units in the words of the chart part."""

LINES = 8
"""Most lines of a chart: as many as there are colours. The rest is in its table of numbers, by its query."""


def panels_of(measures: Sequence[Measure]) -> list[Panel]:
    """The panels of what the house measures: the known ones, and one with all measures of drift."""
    there = {one.name: one for one in measures}
    found: list[Panel] = []
    for panel in PANELS:
        shown = tuple(one for one in panel.shown if one[0] in there)
        if shown or panel.lack:
            lead = panel.lead if panel.lead in there else shown[0][0] if shown else panel.lead
            found.append(structs.replace(panel, shown=shown, lead=lead))
        if panel.id == "guards":
            drift = [one for one in there.values() if one.name.startswith(DRIFT)]
            # One axis has one unit.
            drift = tuple((one.name, one.title.removeprefix("Drift: ")) for one in drift if one.unit == drift[0].unit)
            if drift:
                found.append(
                    Panel(
                        id="drift",
                        title="Drift",
                        sub="Evidence that calls or replies have changed; 1 is certain",
                        shown=drift,
                        lead=drift[0][0],
                    )
                )
    return found


class Charts:
    """What the page's charts are made of: the readings of one question, by measure."""

    def __init__(self, sources: MeasureSources, question: Asked) -> None:
        self._measures = {one.name: one for one in sources.all()}
        self._question = question
        first = math.floor(question.since / question.step)
        self.times = [at * question.step for at in range(first, math.ceil(question.until / question.step))]

    def wanted(self, panels: Sequence[Panel]) -> list[str]:
        """The measures whose readings are asked for: those that can be asked this."""
        names = [name for panel in panels for name in self._drawn(panel)]
        return [name for name in dict.fromkeys(names) if not answerable(self._measures[name], self._question)]

    def chart(self, panel: Panel, found: Mapping[str, Sequence[Reading]], marks: Sequence[Mark], link: str) -> dict[str, Any]:
        """A chart for the template. ``link`` leads to the calls of a step, with ``{since}`` and ``{until}`` in it."""
        names = self._drawn(panel)
        titles = dict(panel.shown)
        series: list[dict[str, Any]] = []
        missing: set[str] = set()
        for name in names:
            missing.update(answerable(self._measures[name], self._question))
            if name in found:
                series += self.series(self._measures[name], titles.get(name, name), found[name])
        if len(names) > LINES:
            series = _furthest(series)
        unit = self._measures[names[0]].unit if names else "count"
        return {
            "id": panel.id,
            "title": panel.title,
            "sub": self._sub(panel),
            "kind": self._kind(panel),
            "unit": UNITS[unit],
            "x": self.times if any(one.value is not None for name in names for one in found.get(name, ())) else [],
            "series": series,
            "marks": [{"at": m.at, "until": m.until, "kind": m.kind, "title": m.title} for m in marks],
            "link": link,
            "query": self.query([name for name in names if name in found]),
            "lack": "" if names else panel.lack,
            "missing": sorted(missing),
            "notes": sorted({one.note for name in names for one in found.get(name, ()) if one.note}),
            "step": int(self._question.step),
        }

    def query(self, names: Sequence[str]) -> str:
        """The API call that gives the same numbers."""
        question = self._question
        given: dict[str, Any] = {"names": ",".join(names), "since": int(question.since), "until": int(question.until)}
        given["step"] = int(question.step)
        given |= {name: ",".join(values) for name, values in question.equal.items()}
        if question.by:
            given |= {"by": question.by, "groups": question.groups}
        return f"/v1/measures/readings?{urlencode(given, safe=',')}"

    def _drawn(self, panel: Panel) -> list[str]:
        if not panel.shown:
            return []
        return [panel.lead] if self._question.by else [name for name, _ in panel.shown]

    def _kind(self, panel: Panel) -> Kind:
        return "stacked" if self._question.by and panel.kind in ("area", "bars") else panel.kind

    def _sub(self, panel: Panel) -> str:
        if not self._question.by or not panel.shown:
            return panel.sub
        return f"{self._measures[panel.lead].title}, by {self._question.by}"

    def series(self, measure: Measure, title: str, readings: Sequence[Reading]) -> list[dict[str, Any]]:
        """The lines of one measure: one under its title, or one for each group."""
        step = self._question.step
        empty = 0.0 if measure.summed else None  # where nothing happened
        first = self.times[0] if self.times else 0.0
        lines: dict[str, dict[str, Any]] = {}
        if not self._question.by:
            lines[""] = self._line(title, measure, empty)
        for one in readings:
            line = lines.get(one.group)
            if line is None:
                line = lines[one.group] = self._line(one.group or f"no {self._question.by}", measure, empty)
            at = round((one.at - first) / step)
            if not 0 <= at < len(self.times):
                continue
            scale = 1e6 if measure.unit == "usd" else 1.0
            line["values"][at] = None if one.value is None else round(one.value * scale, 6)
            if one.low is not None and one.high is not None:
                line.setdefault("low", [None] * len(self.times))[at] = round(one.low * scale, 6)
                line.setdefault("high", [None] * len(self.times))[at] = round(one.high * scale, 6)
        return list(lines.values())

    def _line(self, label: str, measure: Measure, empty: float | None) -> dict[str, Any]:
        return {"label": label, "measure": measure.name, "values": [empty] * len(self.times)}


def _furthest(series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of many lines those that reach highest; none without a value."""
    highest = [(max((value for value in one["values"] if value is not None), default=-math.inf), one) for one in series]
    kept = sorted((at for at in highest if at[0] > -math.inf), key=lambda at: -at[0])[:LINES]
    return [one for one in series if any(one is other for _, other in kept)]
