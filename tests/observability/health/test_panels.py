"""The charts of the Health page, from readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from penstock.kernel.measures import Asked, Example, Mark, Measure, MeasureSources, Reading
from penstock.observability.health.measured import MEASURES
from penstock.observability.health.panels import Charts, panels_of

HOUR = 3600.0
GROUNDED = Measure(name="ungrounded_rate", title="Ungrounded", help="", unit="share", dimensions=frozenset({"task"}))
DRIFTED = Measure(name="drift_length", title="Length", help="", unit="score", dimensions=frozenset({"task"}))


class Known:
    """A source that knows measures, and is not asked for readings here."""

    def __init__(self, *measures: Measure) -> None:
        self.measures: Sequence[Measure] = measures

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        raise AssertionError

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        raise AssertionError


def asked(**said: object) -> Asked:
    return Asked(**{"organisation": None, "since": 0, "until": 3 * HOUR, "step": HOUR, **said})  # type: ignore[arg-type]


def test_what_nobody_measures_is_left_out_or_said() -> None:
    panels = {panel.id: panel for panel in panels_of(MEASURES)}
    assert panels["ungrounded"].shown == ()
    assert panels["ungrounded"].lack.startswith("Nothing here measures it")
    assert "quality" not in panels
    assert "drift" not in panels
    more = [panel.id for panel in panels_of((*MEASURES, GROUNDED, DRIFTED))]
    assert more.index("drift") == more.index("guards") + 1
    only = {panel.id: panel for panel in panels_of((DRIFTED,))}
    assert only["drift"].lead == "drift_length"


def test_a_chart_has_every_step_with_gaps_and_zeros_where_they_belong() -> None:
    charts = Charts(MeasureSources([Known(*MEASURES, GROUNDED)]), asked())
    panels = {panel.id: panel for panel in panels_of((*MEASURES, GROUNDED))}
    found = {
        "spend_usd": [Reading(at=HOUR, value=1.5, count=3)],
        "ungrounded_rate": [Reading(at=2 * HOUR, value=0.2, count=50, low=0.1, high=0.3, note="unchecked")],
        "latency_p95_ms": [Reading(at=0, value=12.0, count=3), Reading(at=99 * HOUR, value=1.0, count=1)],
    }
    mark = Mark(at=HOUR, kind="release", title="2")
    spend = charts.chart(panels["spend"], found, [mark], "/calls?since=SINCE&until=UNTIL")
    assert spend["x"] == [0.0, HOUR, 2 * HOUR]
    assert spend["series"] == [{"label": "Spend", "measure": "spend_usd", "values": [0.0, 1_500_000.0, 0.0]}]
    assert spend["unit"] == "micros"
    assert spend["marks"] == [{"at": HOUR, "until": None, "kind": "release", "title": "2"}]
    grounded = charts.chart(panels["ungrounded"], found, [], "")
    assert grounded["series"][0]["values"] == [None, None, 0.2]
    assert (grounded["series"][0]["low"], grounded["series"][0]["high"]) == ([None, None, 0.1], [None, None, 0.3])
    assert grounded["notes"] == ["unchecked"]
    assert charts.chart(panels["latency"], found, [], "")["series"][0]["values"] == [12.0, None, None]
    assert charts.chart(panels["first_token"], found, [], "")["x"] == []
    query = urlsplit(str(spend["query"]))
    assert query.path == "/v1/measures/readings"
    assert parse_qs(query.query) == {"names": ["spend_usd"], "since": ["0"], "until": ["10800"], "step": ["3600"]}


def test_groups_have_a_line_each_and_what_cannot_be_grouped_says_so() -> None:
    sources = MeasureSources([Known(*MEASURES, GROUNDED)])
    charts = Charts(sources, asked(by="model", equal={"task": ("t",)}, groups=2))
    panels = panels_of(sources.all())
    assert "ungrounded_rate" not in charts.wanted(panels)
    assert "latency_p50_ms" not in charts.wanted(panels)
    known = {panel.id: panel for panel in panels}
    found = {"latency_p95_ms": [Reading(at=0, value=1.0, count=1, group="a"), Reading(at=0, value=2.0, count=1, group="")]}
    latency = charts.chart(known["latency"], found, [], "")
    assert [one["label"] for one in latency["series"]] == ["a", "no model"]
    assert "by=model&groups=2" in latency["query"]
    assert "task=t" in latency["query"]
    assert charts.chart(known["ungrounded"], found, [], "")["missing"] == ["model"]
    assert charts.chart(known["calls"], found, [], "")["kind"] == "stacked"


def test_of_many_lines_those_that_reach_highest() -> None:
    many = [Measure(name=f"drift_{n:02}", title=f"Drift: {n}", help="", unit="score", dimensions=frozenset({"task"})) for n in range(12)]
    sources = MeasureSources([Known(*many)])
    charts = Charts(sources, asked())
    (panel,) = [one for one in panels_of(sources.all()) if one.id == "drift"]
    found = {one.name: [Reading(at=0, value=n / 10, count=1)] for n, one in enumerate(many) if n != 11}
    drawn = charts.chart(panel, found | {many[11].name: []}, [], "")
    assert [one["label"] for one in drawn["series"]] == ["3", "4", "5", "6", "7", "8", "9", "10"]
    assert len(parse_qs(urlsplit(str(drawn["query"])).query)["names"][0].split(",")) == 12
