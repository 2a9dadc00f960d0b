"""AUROC and balanced accuracy with bootstrap intervals that resample groups, since replies to one context are alike."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.groundedness.data import Floats

Measure = Callable[[Floats, Floats], float]


def auroc(y: Floats, scores: Floats) -> float:
    """The chance that an ungrounded reply scores higher than a grounded one, ties by half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones = float(y.sum())
    return float((ranks[y > 0].sum() - ones * (ones + 1) / 2) / (ones * (len(y) - ones)))


def balanced(y: Floats, scores: Floats, threshold: float) -> float:
    """The mean of the shares of both classes on the right side."""
    above = scores > threshold
    return float((above[y > 0].mean() + 1 - above[y == 0].mean()) / 2)


def threshold_accuracy(threshold: float) -> Measure:
    return lambda y, scores: balanced(y, scores, threshold)


def between(measure: Measure, y: Floats, scores: Floats, groups: NDArray[np.intp], draws: int = 1000, seed: int = 0) -> list[float]:
    """The measure and its 95 % percentile interval over resampled groups."""
    rng = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(groups.max() + 2))
    members = [order[a:b] for a, b in pairwise(starts)]
    found: list[float] = []
    while len(found) < draws:
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if 0 < y[rows].sum() < len(rows):
            found.append(measure(y[rows], scores[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return [measure(y, scores), float(low), float(high)]
