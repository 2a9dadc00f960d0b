"""Who detects: ours, ADWIN and a windowed Kolmogorov-Smirnov test, each on the same scores of the same features.

Each gives, for a whole stream, when it would first have alarmed at each of its thresholds. All features of a stream share one alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN

from benchmarks.drift.streams import REFERENCE
from penstock.quality.drift.features import FEATURES, learned
from penstock.quality.samples import Kept
from penstock.statistics.changes import Numbers

Floats = NDArray[np.float64]
Alarms = dict[float, int | None]
"""By threshold: after how many calls behind the reference."""

CALLS = (300.0, 1e3, 3e3, 1e4, 3e4)
DELTAS = (0.99, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01, 0.002)
P_VALUES = tuple(10 ** -(step / 4) for step in range(2, 40))
WINDOWS = (100, 200)
EVERY = 10
"""Calls between two of the windowed test's looks."""


def scores(stream: Sequence[Kept], vectors: Mapping[str, object] | None) -> list[Floats]:
    """Each feature's scores, NaN where a call has none; what is constant has nothing to watch."""
    found: list[Floats] = []
    by_call = {one.id: vectors[one.prompt] for one in stream if one.prompt in vectors} if vectors else None
    for feature in FEATURES:
        rule = learned(feature, stream[: REFERENCE // 2], by_call)
        if rule is not None:
            values = np.array([math.nan if (value := rule.score(one)) is None else value for one in stream[REFERENCE // 2 :]])
            if np.unique(values[~np.isnan(values)]).size > 1:
                found.append(values)
    return found


def ours(features: Sequence[Floats], seed: int) -> Alarms:
    """Conformal Shiryaev-Roberts, as `Watched` has it; the thresholds are calls per false alarm."""
    start = REFERENCE // 2
    most = np.zeros(len(features[0]) - start)
    for values in features:
        head = values[:start]
        detector = Numbers(head[~np.isnan(head)].tolist(), seed)
        path = np.array([detector.evidence if math.isnan(value) else detector.observe(value) for value in values[start:]])
        most = np.maximum(most, path / len(features))
    return {calls: _first(most >= calls) for calls in CALLS}


def adwin(features: Sequence[Floats]) -> Alarms:
    """River's ADWIN at each confidence, which looks at every call; scores are put between 0 and 1 as its bound wants them."""
    found: Alarms = {}
    start = REFERENCE // 2
    scaled: list[Floats] = []
    for values in features:
        low, high = np.nanmin(values[:start]), np.nanmax(values[:start])
        scaled.append(np.clip((values - low) / max(high - low, 1e-9), 0, 1))
    for delta in DELTAS:
        alarms: list[int] = []
        for values in scaled:
            detector = ADWIN(delta=delta, clock=1)
            for place, value in enumerate(values):
                if math.isnan(value):
                    continue
                detector.update(float(value))
                if detector.drift_detected and place >= start:
                    alarms.append(place - start)
                    break
                if alarms and place - start >= min(alarms):
                    break
        found[delta] = min(alarms, default=None)
    return found


def windowed(features: Sequence[Floats], window: int) -> Alarms:
    """The last ``window`` calls against the reference, every ten calls; the smallest p-value of all features times their number."""
    start = REFERENCE // 2
    n = len(features[0]) - start
    least = np.ones(n)
    for values in features:
        head = np.sort(values[:start][~np.isnan(values[:start])])
        for place in range(window - 1, n, EVERY):
            tail = values[start + place - window + 1 : start + place + 1]
            tail = np.sort(tail[~np.isnan(tail)])
            if len(tail) and len(head):
                least[place] = min(least[place], kolmogorov(head, tail) * len(features))
    return {p: _first(least <= p) for p in P_VALUES}


def kolmogorov(first: Floats, second: Floats) -> float:
    """The asymptotic p-value of the two-sample test (Stephens' correction); both sorted."""
    every = np.concatenate([first, second])
    below = np.searchsorted(first, every, side="right") / len(first)
    other = np.searchsorted(second, every, side="right") / len(second)
    size = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    x = (size + 0.12 + 0.11 / size) * float(np.abs(below - other).max())
    if x < 0.2:
        return 1.0
    return min(1.0, max(0.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))))


def _first(alarmed: NDArray[np.bool_]) -> int | None:
    return int(alarmed.argmax()) if alarmed.any() else None


__all__ = ["CALLS", "DELTAS", "P_VALUES", "WINDOWS", "Alarms", "adwin", "ours", "scores", "windowed"]
