"""Prometheus: counts kept as calls end, and what every capability measures of itself, in its text format or in OpenMetrics.

OpenMetrics has exemplars: each step of a histogram names the trace of the last call that fell into it.
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Struct
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Exemplar

from penstock.kernel.call import Call
from penstock.kernel.events import CallEnded
from penstock.kernel.ports import MetricSources, Peers

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OTHER = "other"
Labels = tuple[str, str, str, str]


class _Histogram:
    __slots__ = ("last", "steps", "sum")

    def __init__(self) -> None:
        self.sum = 0.0
        self.steps = [0] * (len(SECONDS) + 1)
        self.last: list[tuple[str, float, float] | None] = [None] * (len(SECONDS) + 1)

    def add(self, seconds: float, call: Call) -> None:
        self.sum += seconds
        at = bisect_left(SECONDS, seconds)
        self.steps[at] += 1
        self.last[at] = (call.trace.trace_id, seconds, call.started_at)

    def into(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        total = 0
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        for bound, count, last in zip((*map(str, SECONDS), "+Inf"), self.steps, self.last, strict=True):
            total += count
            buckets.append((bound, total) if last is None else (bound, total, Exemplar({"trace_id": last[0]}, last[1], last[2])))
        family.add_metric(labels, buckets, self.sum)


class _Series:
    __slots__ = ("calls", "cost", "first", "input", "output", "seconds")

    def __init__(self) -> None:
        self.calls = self.input = self.output = self.cost = 0
        self.seconds = _Histogram()
        self.first: _Histogram | None = None


class CallMeasures:
    """Counts by task, model, provider and outcome; combinations beyond ``most`` count as `OTHER`, so that callers cannot fill memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._series: dict[Labels, _Series] = {}

    def ended(self, event: CallEnded) -> None:
        """Count one call; a subscriber of `CallEnded`."""
        call = event.call
        target = call.target
        # A name that nobody serves is whatever a caller typed.
        labels = (call.task or "", target.name if target else "", target.provider if target else "", call.outcome)
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= self._most:
                labels = (OTHER, OTHER, OTHER, call.outcome)
            series = self._series.setdefault(labels, _Series())
        series.calls += 1
        if call.usage is not None:
            series.input += call.usage.input
            series.output += call.usage.output
        if call.cost is not None:
            series.cost += call.cost.amount
        series.seconds.add(call.total_ms / 1e3, call)
        if call.first_token_ms is not None:
            if series.first is None:
                series.first = _Histogram()
            series.first.add(call.first_token_ms / 1e3, call)

    def collect(self) -> Iterable[Family]:
        """The families as prometheus-client wants them."""
        names = ["task", "model", "provider", "outcome"]
        calls = CounterMetricFamily("penstock_calls", "Calls that have ended.", labels=names)
        tokens = CounterMetricFamily("penstock_tokens", "Tokens, as providers counted them.", labels=[*names, "direction"])
        cost = CounterMetricFamily("penstock_cost_micros", "Money spent, in micro-units.", labels=names)
        seconds = HistogramMetricFamily("penstock_call_seconds", "From the request to the end of the reply.", labels=names)
        first = HistogramMetricFamily("penstock_first_token_seconds", "From the request to the first of a streamed reply.", labels=names)
        for labels, series in list(self._series.items()):
            calls.add_metric(labels, series.calls)
            tokens.add_metric([*labels, "input"], series.input)
            tokens.add_metric([*labels, "output"], series.output)
            cost.add_metric(labels, series.cost)
            series.seconds.into(seconds, labels)
            if series.first is not None:
                series.first.into(first, labels)
        return (calls, tokens, cost, seconds, first)


class Sample(Struct, frozen=True, array_like=True):
    """One line of the page."""

    name: str
    labels: dict[str, str]
    value: float
    exemplar: tuple[dict[str, str], float, float] | None = None
    """Labels, value and moment of a call that the line counts."""


class FamilyFigures(Struct, frozen=True, array_like=True):
    """A family of one worker, as it goes to another."""

    name: str
    help: str
    kind: str
    samples: list[Sample]


TOPIC = "metrics"
WORKER = "worker"


class Exposition:
    """Everything as Prometheus text.

    Where there are several workers, whichever is scraped tells the figures of all, each with the label ``worker``: a series is always the
    same process's, whoever answers, and sums over that label are the whole. One that does not answer has only ``penstock_worker_up`` 0.
    """

    def __init__(self, measures: CallMeasures) -> None:
        self._measures = measures

    def text(self, sources: MetricSources, media: str = TEXT) -> bytes:
        """The page of this process."""
        return _page(_Collector(self._measures, sources), media)

    async def whole(self, sources: MetricSources, peers: Peers | None, media: str = TEXT) -> bytes:
        """The page that a scrape reads."""
        if peers is None:
            return self.text(sources, media)
        told: dict[int, list[FamilyFigures]] = {peers.own: self._figures(sources)}
        silent: list[int] = []
        for index, answer in (await peers.ask(TOPIC)).items():
            if answer is None:
                silent.append(index)
            else:
                told[index] = msgspec.json.decode(answer, type=list[FamilyFigures])
        return _page(_Told(told, silent), media)

    def serve(self, sources: Callable[[], MetricSources], peers: Peers) -> None:
        """Answer the other workers."""

        async def answer(_: bytes) -> bytes:
            return msgspec.json.encode(self._figures(sources()))

        peers.answer(TOPIC, answer)

    def _figures(self, sources: MetricSources) -> list[FamilyFigures]:
        return [
            FamilyFigures(
                family.name,
                family.documentation,
                family.type,
                [Sample(s.name, dict(s.labels), s.value, _told(s.exemplar) if s.exemplar is not None else None) for s in family.samples],
            )
            for family in _Collector(self._measures, sources).collect()
        ]


def media_of(accept: str) -> str:
    """The format for who sends this ``accept``: OpenMetrics for whoever names it, as Prometheus does, else plain text."""
    return OPEN if "application/openmetrics-text" in accept else TEXT


def _told(exemplar: Exemplar) -> tuple[dict[str, str], float, float]:
    return dict(exemplar.labels), exemplar.value, float(exemplar.timestamp or 0)


def _page(collector: _Collector | _Told, media: str) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    if media == OPEN:
        whole = cast("Callable[[CollectorRegistry], bytes]", openmetrics.generate_latest)  # pyright: ignore[reportUnknownMemberType]
        return whole(registry)
    return generate_latest(registry)


class _Told:
    """What several workers told, family by family."""

    def __init__(self, told: Mapping[int, list[FamilyFigures]], silent: Sequence[int]) -> None:
        self._told = told
        self._silent = silent

    def collect(self) -> Iterable[Family]:
        families: dict[str, Family] = {}
        up = GaugeMetricFamily("penstock_worker_up", "Whether a worker answers the one that was scraped.", labels=[WORKER])
        for index, figures in sorted(self._told.items()):
            up.add_metric([str(index)], 1)
            for figure in figures:
                family = families.get(figure.name)
                if family is None:
                    family = families[figure.name] = Family(figure.name, figure.help, figure.kind)
                for sample in figure.samples:
                    exemplar = Exemplar(*sample.exemplar) if sample.exemplar is not None else None
                    family.add_sample(sample.name, {**sample.labels, WORKER: str(index)}, sample.value, exemplar=exemplar)
        for index in self._silent:
            up.add_metric([str(index)], 0)
        return (up, *families.values())


class _Collector:
    def __init__(self, measures: CallMeasures, sources: MetricSources) -> None:
        self._measures = measures
        self._sources = sources

    def collect(self) -> Iterable[Family]:
        yield from self._measures.collect()
        for source in self._sources:
            for metric in source.metrics():
                names = sorted({name for labels, _ in metric.samples for name in labels})
                family: CounterMetricFamily | GaugeMetricFamily
                if metric.kind == "counter":
                    family = CounterMetricFamily(metric.name, metric.help, labels=names)
                else:
                    family = GaugeMetricFamily(metric.name, metric.help, labels=names)
                for labels, value in metric.samples:
                    family.add_metric([labels.get(name, "") for name in names], value)
                yield family
