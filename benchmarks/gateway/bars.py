"""From samples to medians, and from medians to what we promised: each bar with its figure and whether it holds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.gateway.measure import PHASES, Sample

OURS = "penstock"


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of each figure over the rounds in which it was taken."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: statistics.median(sample[name] for sample in samples if name in sample) for name in names}


def added(samples: Sequence[Sample], mock: Sequence[Sample]) -> Sample:
    """Milliseconds that a contestant adds at concurrency 1: its percentile minus the mock's in the same round; the median over rounds."""
    rounds: list[Sample] = []
    for sample, base in zip(samples, mock, strict=False):
        keys = [f"{phase.name}.{part}" for phase in PHASES if phase.concurrency == 1 for part in ("p5", "p50", "p99", "first_p50")]
        rounds.append({key: sample[key] - base[key] for key in keys if key in sample and key in base})
    return medians(rounds)


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], figure: str) -> float | None:
    """How many times theirs ours is: the median over rounds of the ratio within a round, since neighbours on the machine touch both."""
    found = [a[figure] / b[figure] for a, b in zip(ours, theirs, strict=False) if a.get(figure) and b.get(figure)]
    return statistics.median(found) if found else None


@dataclass(frozen=True)
class Bar:
    """One promise. ``holds`` is None when a figure that it needs could not be taken."""

    text: str
    measured: float | None
    unit: str
    holds: bool | None


def bars(samples: Mapping[str, Sequence[Sample]]) -> list[Bar]:
    ours = samples.get(OURS, [])
    middle = medians(ours)
    extra = added(ours, samples.get("mock", []))

    def figure(text: str, value: float | None, unit: str, good: Callable[[float], bool]) -> Bar:
        return Bar(text, value, unit, None if value is None else good(value))

    def times(peer: str, least: float) -> Bar:
        value = ratio(ours, samples.get(peer, []), "c32.per_second")
        return figure(f"throughput at c=32 at least {least:g} x {peer}", value, "x", lambda v: v >= least)

    return [
        figure("added latency at c=1, p5, at most 0.25 ms", extra.get("c1.p5"), "ms", lambda v: v <= 0.25),
        figure("requests/s from one worker at c=32, at least 5,000", middle.get("c32.per_second"), "/s", lambda v: v >= 5000),
        figure("CPU a request at c=32, at most 0.22 ms", middle.get("c32.cpu_ms"), "ms", lambda v: v <= 0.22),
        times("tensorzero", 0.5),
        times("portkey", 3),
        times("litellm", 35),
        figure("cold start to the first 200, at most 1.5 CPU-s", middle.get("start.cpu_seconds"), "s", lambda v: v <= 1.5),
        figure("idle RSS, at most 150 MB", middle.get("rss.idle_mb"), "MB", lambda v: v <= 150),
    ]
