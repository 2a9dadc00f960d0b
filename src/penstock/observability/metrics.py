"""Prometheus: counts kept as calls end, and what every capability measures of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family

from penstock.kernel.events import CallEnded
from penstock.kernel.ports import MetricSources, Peers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OTHER = "other"
Labels = tuple[str, str, str, str]


class _Series:
    __slots__ = ("calls", "cost", "input", "output", "seconds", "steps")

    def __init__(self) -> None:
        self.calls = self.input = self.output = self.cost = 0
        self.seconds = 0.0
        self.steps = [0] * (len(SECONDS) + 1)


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
        seconds = call.total_ms / 1e3
        series.seconds += seconds
        at = 0
        while at < len(SECONDS) and seconds > SECONDS[at]:
            at += 1
        series.steps[at] += 1

    def collect(self) -> Iterable[Family]:
        """The families as prometheus-client wants them."""
        names = ["task", "model", "provider", "outcome"]
        calls = CounterMetricFamily("penstock_calls", "Calls that have ended.", labels=names)
        tokens = CounterMetricFamily("penstock_tokens", "Tokens, as providers counted them.", labels=[*names, "direction"])
        cost = CounterMetricFamily("penstock_cost_micros", "Money spent, in micro-units.", labels=names)
        seconds = HistogramMetricFamily("penstock_call_seconds", "From the request to the end of the reply.", labels=names)
        for labels, series in list(self._series.items()):
            calls.add_metric(labels, series.calls)
            tokens.add_metric([*labels, "input"], series.input)
            tokens.add_metric([*labels, "output"], series.output)
            cost.add_metric(labels, series.cost)
            total = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip((*map(str, SECONDS), "+Inf"), series.steps, strict=True):
                total += count
                buckets.append((bound, total))
            seconds.add_metric(labels, buckets, series.seconds)
        return (calls, tokens, cost, seconds)


class Sample(Struct, frozen=True, array_like=True):
    """One line of the page."""

    name: str
    labels: dict[str, str]
    value: float


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

    def text(self, sources: MetricSources) -> bytes:
        """The page of this process."""
        return _page(_Collector(self._measures, sources))

    async def whole(self, sources: MetricSources, peers: Peers | None) -> bytes:
        """The page that a scrape reads."""
        if peers is None:
            return self.text(sources)
        told: dict[int, list[FamilyFigures]] = {peers.own: self._figures(sources)}
        silent: list[int] = []
        for index, answer in (await peers.ask(TOPIC)).items():
            if answer is None:
                silent.append(index)
            else:
                told[index] = msgspec.json.decode(answer, type=list[FamilyFigures])
        return _page(_Told(told, silent))

    def serve(self, sources: Callable[[], MetricSources], peers: Peers) -> None:
        """Answer the other workers."""

        async def answer(_: bytes) -> bytes:
            return msgspec.json.encode(self._figures(sources()))

        peers.answer(TOPIC, answer)

    def _figures(self, sources: MetricSources) -> list[FamilyFigures]:
        return [
            FamilyFigures(family.name, family.documentation, family.type, [Sample(s.name, dict(s.labels), s.value) for s in family.samples])
            for family in _Collector(self._measures, sources).collect()
        ]


def _page(collector: _Collector | _Told) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
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
                    family.add_sample(sample.name, {**sample.labels, WORKER: str(index)}, sample.value)
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
