from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.observability.calls import ended

from penstock.kernel.errors import UpstreamReset
from penstock.kernel.events import CallEnded
from penstock.kernel.ports import Metric, MetricSources, Peers
from penstock.observability.metrics import OPEN, OTHER, SECONDS, TEXT, CallMeasures, Exposition, media_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Gauge:
    """A capability that measures itself."""

    def metrics(self) -> Iterable[Metric]:
        yield Metric(name="penstock_things", help="Things.", kind="gauge", samples=(({"kind": 'a "b"\n'}, 2.5), ({}, 1)))
        yield Metric(name="penstock_drops", help="Drops.", kind="counter", samples=(({"reason": "full"}, 7),))


def read(measures: CallMeasures, *sources: Gauge) -> Samples:
    text = Exposition(measures).text(MetricSources(sources)).decode()
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def of(samples: Samples, name: str, **labels: str) -> float:
    found = [value for (at, own), value in samples.items() if at == name and labels.items() <= dict(own).items()]
    assert found, f"no {name} with {labels}"
    return sum(found)


def test_calls_tokens_money_and_time_are_counted() -> None:
    measures = CallMeasures(100)
    for took in (3.0, 40.0, 400_000.0):
        measures.ended(CallEnded(ended(task="t", took=took)))
    measures.ended(CallEnded(ended(error=UpstreamReset("gone"))))
    found = read(measures)
    labels = {"task": "t", "model": "m", "provider": "p", "outcome": "ok"}
    assert of(found, "penstock_calls_total", **labels) == 3
    assert of(found, "penstock_calls_total", outcome="failed") == 1
    assert of(found, "penstock_tokens_total", direction="input", **labels) == 300
    assert of(found, "penstock_tokens_total", direction="output", **labels) == 60
    assert of(found, "penstock_cost_micros_total", **labels) == 4500
    assert of(found, "penstock_call_seconds_sum", **labels) == pytest.approx(400.043)
    assert of(found, "penstock_call_seconds_count", **labels) == 3
    buckets = [of(found, "penstock_call_seconds_bucket", le=bound, **labels) for bound in (*map(str, SECONDS), "+Inf")]
    assert buckets[0] == 1
    assert buckets[SECONDS.index(0.05)] == 2
    assert buckets[-2:] == [2, 3]
    assert buckets == sorted(buckets)


def test_a_name_that_nobody_serves_is_no_label() -> None:
    measures = CallMeasures(100)
    measures.ended(CallEnded(ended(model="typed by somebody", error=UpstreamReset("gone"))))
    assert "typed by somebody" not in str(read(measures))


def test_series_are_bounded_and_nothing_is_lost() -> None:
    measures = CallMeasures(10)
    for number in range(50):
        measures.ended(CallEnded(ended(task=f"t{number}")))
    found = read(measures)
    assert of(found, "penstock_calls_total") == 50
    assert of(found, "penstock_calls_total", task=OTHER) == 40
    assert len([1 for name, _ in found if name == "penstock_calls_total"]) == 11


def test_what_capabilities_measure_of_themselves_is_there_with_its_labels() -> None:
    found = read(CallMeasures(10), Gauge())
    assert of(found, "penstock_things", kind='a "b"\n') == 2.5
    assert of(found, "penstock_things", kind="") == 1
    assert of(found, "penstock_drops_total", reason="full") == 7


def test_openmetrics_names_the_last_trace_of_each_step() -> None:
    measures = CallMeasures(10)
    slow = ended(took=40.0, first_token_ms=7.0)
    for call in (ended(took=3.0), ended(took=39.0), slow):
        measures.ended(CallEnded(call))
    text = Exposition(measures).text(MetricSources([Gauge()]), OPEN).decode()
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
    assert {"penstock_calls", "penstock_things", "penstock_drops"} <= families.keys()
    steps = {s.labels["le"]: s for s in families["penstock_call_seconds"].samples if s.name.endswith("_bucket")}
    told = steps["0.05"].exemplar
    assert told is not None
    assert (told.labels, told.value, float(told.timestamp or 0)) == ({"trace_id": slow.trace.trace_id}, 0.04, slow.started_at)
    assert steps["300.0"].exemplar is None
    # Only what was streamed has a first token.
    assert [s.value for s in families["penstock_first_token_seconds"].samples if s.name.endswith("_count")] == [1.0]


async def test_exemplars_of_other_workers_are_told_too() -> None:
    class Other:
        own = 0

        async def ask(self, topic: str) -> dict[int, bytes | None]:
            return {1: msgspec.json.encode(Exposition(busy)._figures(MetricSources())), 2: None}

    busy = CallMeasures(10)
    call = ended(took=40.0)
    busy.ended(CallEnded(call))
    page = await Exposition(CallMeasures(10)).whole(MetricSources(), cast("Peers", Other()), OPEN)
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(page.decode())}
    (told,) = [s.exemplar for s in families["penstock_call_seconds"].samples if s.exemplar is not None]
    assert told.labels == {"trace_id": call.trace.trace_id}
    assert sorted(s.value for s in families["penstock_worker_up"].samples) == [0.0, 1.0, 1.0]


def test_who_asks_for_openmetrics_gets_it() -> None:
    prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    assert [media_of(accept) for accept in (prometheus, "*/*", "")] == [OPEN, TEXT, TEXT]
