"""Boosted stumps: a sum of step functions, one a figure, fitted to labels by Newton steps on the logistic loss. numpy, a second or less.

Every round adds one split of one figure (Friedman 2001; second-order gains as in Chen and Guestrin 2016). Figures with a known
direction may only be split in it. Rounds see a random half of the figures and four fifths of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.quality.grounded.model import Head, Steps

Floats = NDArray[np.float64]

BINS = 48
UP = ("content_missing_weighted", "numbers_missing", "names_missing", "negation_differs")
DOWN = ("words_present", "pairs_present", "in_order", "best_sentence", "worst_sentence", "window", "least_alike", "mean_alike")
"""Figures that can only speak against a reply, and for it, the larger they are."""


def fit(
    x: Floats,
    y: Floats,
    weights: Floats,
    names: Sequence[str],
    *,
    rounds: int = 400,
    rate: float = 0.1,
    ridge: float = 5.0,
    least: int = 10,
    seed: int = 0,
) -> Head:
    """``x`` [n, figures], ``y`` 0 or 1. ``weights`` are scaled to a mean of 1; ``least`` rows stand on either side of a split."""
    rng = np.random.default_rng(seed)
    n, columns = x.shape
    weights = weights * (n / weights.sum())
    edges = [_edges(x[:, column]) for column in range(columns)]
    binned = [np.searchsorted(edges[column], x[:, column], side="left") for column in range(columns)]
    added = [np.zeros(len(edge) + 1) for edge in edges]
    rate_of_ones = float((weights * y).sum() / weights.sum())
    bias = float(np.log(rate_of_ones / (1 - rate_of_ones)))
    total = np.full(n, bias)
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-total))
        rows = rng.random(n) < 0.8
        slope = np.where(rows, weights * (chance - y), 0.0)
        bend = np.where(rows, weights * chance * (1 - chance), 0.0)
        best: tuple[float, int, int, float, float] | None = None
        for column in rng.permutation(columns)[: max(1, columns // 2)]:
            found = _split(binned[column], slope, bend, rows, len(edges[column]), ridge, least, _sign(names[column]))
            if found is not None and (best is None or found[0] > best[0]):
                best = (found[0], int(column), *found[1:])
        if best is None:
            continue
        _, column, at, left, right = best
        added[column][: at + 1] += rate * left
        added[column][at + 1 :] += rate * right
        total += rate * np.where(binned[column] <= at, left, right)
    return Head(tuple(names), round(bias, 4), tuple(_steps(edge, value) for edge, value in zip(edges, added, strict=True)))


def scores(head: Head, x: Floats) -> Floats:
    """`Head.score` of every row."""
    total = np.full(len(x), head.bias)
    for column, step in enumerate(head.steps):
        total += np.array(step.values)[np.searchsorted(np.array(step.edges), x[:, column], side="left")]
    return 1 / (1 + np.exp(-total))


def _edges(values: Floats) -> Floats:
    """Where a figure may be split: in the gaps between its values, at most `BINS` of them, that part the rows evenly."""
    distinct = np.unique(values)
    if len(distinct) < 2:
        return np.empty(0)
    wanted = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    at = np.searchsorted(distinct, wanted)
    at = at[at < len(distinct) - 1]
    return np.unique(np.round((distinct[at] + distinct[at + 1]) / 2, 4))


def _sign(name: str) -> int:
    return 1 if name in UP else -1 if name in DOWN else 0


def _split(
    binned: NDArray[np.intp], slope: Floats, bend: Floats, rows: NDArray[np.bool_], edges: int, ridge: float, least: int, sign: int
) -> tuple[float, int, float, float] | None:
    if not edges:
        return None
    g, h, c = (np.bincount(binned, value, minlength=edges + 1).cumsum() for value in (slope, bend, rows.astype(float)))
    left, right = -g[:-1] / (h[:-1] + ridge), -(g[-1] - g[:-1]) / (h[-1] - h[:-1] + ridge)
    gain = g[:-1] ** 2 / (h[:-1] + ridge) + (g[-1] - g[:-1]) ** 2 / (h[-1] - h[:-1] + ridge) - g[-1] ** 2 / (h[-1] + ridge)
    allowed = (c[:-1] >= least) & (c[-1] - c[:-1] >= least) & (sign * (right - left) >= 0)
    gain = np.where(allowed, gain, -1.0)
    at = int(gain.argmax())
    return (float(gain[at]), at, float(left[at]), float(right[at])) if gain[at] > 1e-9 else None


def _steps(edges: Floats, values: Floats) -> Steps:
    """Neighbours that add the same become one."""
    rounded = np.round(values, 3)
    keep = [i for i in range(len(edges)) if rounded[i] != rounded[i + 1]]
    unique = list(dict.fromkeys(float(edges[i]) for i in keep))
    if len(unique) != len(keep):
        raise ValueError("edges fell together when they were rounded")
    return Steps(tuple(unique), (*(float(rounded[i]) for i in keep), float(rounded[-1])))
