"""Bootstrapped percentile intervals (Efron 1979), for display: of a mean, a ratio, a difference between policies on the same prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def bootstrap(
    rows: Floats, statistic: Callable[[Floats], float], *, confidence: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of ``statistic`` over resampled rows of ``rows`` [n, ...]; rows stay whole, so pairs stay paired."""
    rng = np.random.default_rng(seed)
    n = len(rows)
    found = [statistic(rows[rng.integers(0, n, n)]) for _ in range(draws)]
    return _percentiles(np.array(found), confidence)


def mean_interval(values: Floats, *, confidence: float = 0.95, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The interval of the mean of ``values`` [n]. For a paired difference, pass the differences."""
    rng = np.random.default_rng(seed)
    n = len(values)
    return _percentiles(np.array([float(values[rng.integers(0, n, n)].mean()) for _ in range(draws)]), confidence)


def ratio_interval(above: Floats, below: Floats, *, confidence: float = 0.95, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The interval of mean(above) / mean(below) on the same prompts. Raises ValueError when ``below`` is nowhere positive."""
    if not below.sum() > 0:
        raise ValueError("the ratio's lower part is 0 everywhere")
    rng = np.random.default_rng(seed)
    n = len(above)
    picks = [rng.integers(0, n, n) for _ in range(draws)]
    return _percentiles(np.array([float(above[p].sum() / max(below[p].sum(), 1e-12)) for p in picks]), confidence)


def _percentiles(found: Floats, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
