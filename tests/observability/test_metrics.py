from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.observability.calls import ended

from penstock.kernel.errors import UpstreamReset
from penstock.kernel.events import CallEnded
from penstock.kernel.ports import Metric, MetricSources
from penstock.observability.metrics import OTHER, SECONDS, CallMeasures, Exposition

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
