"""From what the callers saw and what the providers were asked to the drill's figures."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

from benchmarks.resilience.script import PROVIDERS, SCRIPT, trouble

BUCKET = 2
"""Seconds over which a provider's load is averaged to see whether it is run over."""
AFTER = 30
"""Seconds after the end of a trouble in which the return is watched."""

Asked = Mapping[str, Sequence[tuple[int, int]]]


class Outcome(NamedTuple):
    """One call: when it began, how long it took, whether it was a stream, and ``ok`` or what went wrong."""

    at: float
    took: float
    stream: bool
    said: str


class Figures(TypedDict):
    """What the report shows.

    ``herd``: the most that a provider was asked in two seconds soon after its trouble, in fair shares of the load among those that served
    then (in each of them at least a quarter of an equal share); only while another had been well for a while, since the last one left
    cannot but take all of the load. ``troubled``: what providers in trouble were asked, in fair shares of the load.
    """

    calls: int
    success: float
    success_whole: float
    success_streams: float
    amplification: float
    herd: float
    troubled: float
    p50_ms: float
    p99_ms: float
    failures: dict[str, int]


def judge(outcomes: Sequence[Outcome], asked: Asked, rate: float, seconds: float) -> Figures:
    """The figures of one contestant."""
    failures = Counter(f"{'stream' if o.stream else 'whole'}: {o.said}" for o in outcomes if o.said != "ok")
    took = sorted(o.took for o in outcomes if o.said == "ok")
    streams, whole = [o for o in outcomes if o.stream], [o for o in outcomes if not o.stream]
    return {
        "calls": len(outcomes),
        "success": _good(outcomes),
        "success_whole": _good(whole),
        "success_streams": _good(streams),
        "amplification": sum(count for pairs in asked.values() for _, count in pairs) / len(outcomes),
        "herd": _herd(asked, rate, seconds),
        "troubled": _troubled(asked, rate, seconds),
        "p50_ms": 1000 * statistics.median(took),
        "p99_ms": 1000 * took[int(0.99 * len(took))],
        "failures": dict(failures.most_common()),
    }


def _good(outcomes: Sequence[Outcome]) -> float:
    return sum(o.said == "ok" for o in outcomes) / len(outcomes)


def _herd(asked: Asked, rate: float, seconds: float) -> float:
    worst, counts = 0.0, {name: dict(pairs) for name, pairs in asked.items()}
    for over in SCRIPT:
        first = int(over.ends * seconds) + 1
        for second in range(first, int(min(first + AFTER, seconds)) - BUCKET):
            if trouble(over.provider, second / seconds) is None and _another(over.provider, second, seconds):
                loads = {p: [counts[p].get(second + n, 0) for n in range(BUCKET)] for p in PROVIDERS}
                serving = sum(min(load) > rate / len(PROVIDERS) / 4 for load in loads.values())
                worst = max(worst, sum(loads[over.provider]) / BUCKET * max(1, serving) / rate)
    return worst


def _another(than: str, second: int, seconds: float) -> bool:
    """Whether somebody else is well in these two seconds, and was before for as long as a return is watched."""
    spans = [(s.provider, s.begins * seconds - BUCKET, s.ends * seconds + AFTER) for s in SCRIPT]
    return any(p != than and not any(p == q and begins < second < ends for q, begins, ends in spans) for p in PROVIDERS)


def _troubled(asked: Asked, rate: float, seconds: float) -> float:
    got = due = 0.0
    for provider in PROVIDERS:
        seen = dict(asked[provider])
        for second in range(int(seconds)):
            if trouble(provider, second / seconds) is not None and trouble(provider, (second + 1) / seconds) is not None:
                got += seen.get(second, 0)
                due += rate / len(PROVIDERS)
    return got / due
