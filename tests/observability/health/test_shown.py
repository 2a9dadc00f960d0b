"""What the Health page shows of a store: charts, figures beside those of the period before, choices."""

from __future__ import annotations

import pytest
from tests.observability.health.conftest import FROM, HOUR

from penstock.kernel.measures import MarkSources, MeasureSources
from penstock.observability.health.marks import ReleaseMarks
from penstock.observability.health.measured import SpanMeasures
from penstock.observability.health.shown import Health, PageQuery, fields_of
from penstock.storage.telemetry.store import TelemetryStore

DAY = 86_400.0


@pytest.mark.parametrize("last", ["3600", "86400", "2592000"])
def test_a_relative_period_is_whole_steps_up_to_now(last: str) -> None:
    now = 1_800_000_123.0
    since, until, step = PageQuery(last=last).period(now)
    assert since % step == until % step == 0
    assert until - step <= now < until
    assert until - since >= float(last)
    assert (until - since) / step <= 120


def test_a_fixed_period_is_widened_to_whole_steps() -> None:
    assert PageQuery(since=90.0, until=1_000.0).period(0) == (60, 1_020, 60)
    assert fields_of(PageQuery(last="3600", model="a", by="task")) == {"model": "a", "by": "task"}


@pytest.mark.asyncio(loop_scope="module")
async def test_everything_of_a_page(source: SpanMeasures, store: TelemetryStore) -> None:
    health = Health(MeasureSources([source]), MarkSources([ReleaseMarks(lambda: store)]), store)
    shown = await health.shown(PageQuery(since=FROM + 2 * HOUR, until=FROM + 4 * HOUR, model="small"), "org_a", FROM)
    tiles = {tile.measure.name: tile for tile in shown.tiles}
    assert (tiles["calls"].value, tiles["calls"].before, tiles["calls"].change, tiles["calls"].tone) == (4.0, 2.0, 1.0, "neutral")
    assert (tiles["error_rate"].value, tiles["error_rate"].before, tiles["error_rate"].tone) == (0.0, 1.0, "ok")
    assert shown.choices["model"] == ["rare", "small"]
    assert shown.choices["task"] == ["answer", "other"]
    charts = {chart["id"]: chart for chart in shown.charts}
    assert sum(charts["calls"]["series"][0]["values"]) == 4
    assert charts["calls"]["link"] == "/console/traces?kind=call&model=small&since=SINCE&until=UNTIL"
    assert charts["ungrounded"]["lack"]
    assert shown.calls == f"/console/traces?kind=call&model=small&since={FROM + 2 * HOUR}&until={FROM + 4 * HOUR}"
    assert "format" not in shown.all


@pytest.mark.asyncio(loop_scope="module")
async def test_what_has_hardly_been_there_before_has_no_percentage(source: SpanMeasures, store: TelemetryStore) -> None:
    health = Health(MeasureSources([source]), MarkSources(), store)
    shown = await health.shown(PageQuery(since=FROM, until=FROM + 2 * HOUR), "org_a", FROM)
    (calls,) = [tile for tile in shown.tiles if tile.measure.name == "calls"]
    assert (calls.before, calls.change) == (None, None)
