"""Two sides of measures, and whether they differ."""

from __future__ import annotations

import math

import pytest
from tests.observability.health.conftest import FROM, HOUR

from penstock.kernel.errors import MalformedRequest, NotFound
from penstock.kernel.measures import Measure, MeasureSources
from penstock.observability.health.compare import CompareQuery, Comparison, Side, difference, of_shares, sides_of
from penstock.observability.health.measured import MEASURES, SpanMeasures

RATE = next(one for one in MEASURES if one.name == "error_rate")
SAMPLED = Measure(name="ungrounded_rate", title="U", help="", unit="share", dimensions=frozenset({"task"}))


def test_bounds_of_the_difference_of_shares() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80.
    low, high = of_shares(56 / 70, 70, 48 / 80, 80)
    assert math.isclose(low, 0.0524, abs_tol=5e-4)
    assert math.isclose(high, 0.3339, abs_tol=5e-4)


def test_what_is_said_of_two_sides() -> None:
    more = difference(RATE, Side(value=0.1, count=1000), Side(value=0.02, count=1000))
    assert (more.verdict, more.better) == ("beyond_chance", False)
    assert more.low is not None
    assert more.low > 0
    assert more.relative == pytest.approx(4.0)
    few = difference(RATE, Side(value=0.1, count=10), Side(value=0.0, count=10))
    assert (few.verdict, few.better, few.relative) == ("within_chance", None, None)
    apart = difference(SAMPLED, Side(value=0.1, count=9, low=0.05, high=0.15), Side(value=0.3, count=9, low=0.2, high=0.4))
    assert (apart.verdict, apart.better) == ("apart", True)
    over = difference(SAMPLED, Side(value=0.1, count=9, low=0.05, high=0.25), Side(value=0.3, count=9, low=0.2, high=0.4))
    assert (over.verdict, over.better) == ("overlap", None)
    none = difference(SAMPLED, Side(value=None, count=0), Side(value=0.3, count=9))
    assert (none.difference, none.verdict) == (None, "")


def test_which_two_questions_are_asked() -> None:
    before = sides_of(CompareQuery(since=FROM, until=FROM + 2 * HOUR), "org", 0)
    assert (before.b.since, before.b.until) == (FROM - 2 * HOUR, FROM)
    week = sides_of(CompareQuery(since=FROM, until=FROM + 2 * HOUR, against="week"), "org", 0)
    assert (week.b.since, week.b.until) == (FROM - 168 * HOUR, FROM - 166 * HOUR)
    models = sides_of(CompareQuery(since=FROM, until=FROM + HOUR, what="model", a="x", b="y", task="t"), "org", 0)
    assert models.a.equal == {"task": ("t",), "model": ("x",)}
    assert models.b.equal == {"task": ("t",), "model": ("y",)}
    for query in (CompareQuery(what="colour", a="x", b="y"), CompareQuery(what="model", a="x")):
        with pytest.raises(MalformedRequest):
            sides_of(query, "org", FROM)


@pytest.mark.asyncio(loop_scope="module")
async def test_two_models_of_the_store(source: SpanMeasures) -> None:
    comparison = Comparison(MeasureSources([source]))
    query = CompareQuery(since=FROM, until=FROM + 3 * HOUR, what="model", a="small", b="big")
    found = await comparison.compared(query, "org_a", 0)
    said = {one.measure: one for one in found.data}
    assert (said["calls"].a.value, said["calls"].b.value, said["calls"].difference) == (6.0, 8.0, -2.0)
    assert said["error_rate"].a.value == pytest.approx(1 / 3)
    assert said["error_rate"].verdict == "within_chance"
    assert found.left_out == []
    charts = {one["id"]: one for one in await comparison.charts(query, "org_a", 0)}
    assert [one["label"] for one in charts["calls"]["series"]] == ["small", "big"]
    assert sum(charts["calls"]["series"][0]["values"]) == 6.0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_period_lies_on_the_axis_of_the_other(source: SpanMeasures) -> None:
    comparison = Comparison(MeasureSources([source]))
    query = CompareQuery(since=FROM + 2 * HOUR, until=FROM + 4 * HOUR, names="calls")
    found = await comparison.compared(query, "org_a", 0)
    assert [(one.a.value, one.b.value) for one in found.data] == [(5.0, 10.0)]
    (calls,) = [one for one in await comparison.charts(query, "org_a", 0) if one["id"] == "calls"]
    assert [sum(one["values"]) for one in calls["series"]] == [5.0, 10.0]
    with pytest.raises(NotFound):
        await comparison.compared(CompareQuery(names="nobody"), "org_a", 0)
