"""The curve of quality against calls to the strong model, and what is read off it; resampled prompts give the intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FRACTIONS = (0.90, 0.95, 0.98, 1.0)


def read(gains: Floats, small: Floats, large: Floats, weights: Floats | None = None) -> dict[str, float]:
    """RouteLLM's figures and the shares at 90, 95, 98 and 100 % of the strong model, when the highest gains are escalated first.

    ``cpt50``: the smallest share of strong calls that recovers half the gap between the models; ``apgr``: the mean share of the gap
    recovered over all shares. ``weights``: how often each prompt counts. A fraction below the weak model's own quality needs no call.
    """
    order = np.argsort(-gains, kind="stable")
    weight = np.ones(len(gains)) if weights is None else weights[order]
    total = weight.sum()
    share = np.concatenate([[0.0], np.cumsum(weight)]) / total
    weak, strong = float((small[order] * weight).sum() / total), float((large[order] * weight).sum() / total)
    quality = weak + np.concatenate([[0.0], np.cumsum((large - small)[order] * weight)]) / total
    recovered = (quality - weak) / (strong - weak)

    def reaches(wanted: float) -> float:
        return float(share[int(np.argmax(quality >= wanted - 1e-9))])

    return {
        "cpt50": reaches(weak + 0.5 * (strong - weak)),
        "cpt80": reaches(weak + 0.8 * (strong - weak)),
        "apgr": float(np.sum(np.diff(share) * (recovered[1:] + recovered[:-1]) / 2)),
        **{f"share{round(f * 100)}": reaches(f * strong) for f in FRACTIONS},
    }


def random_mixing(small: Floats, large: Floats) -> dict[str, float]:
    """The straight line: a coin decides."""
    weak, strong = float(small.mean()), float(large.mean())
    shares = {f"share{round(f * 100)}": min(1.0, max(0.0, (f * strong - weak) / (strong - weak))) for f in FRACTIONS}
    return {"cpt50": 0.5, "cpt80": 0.8, "apgr": 0.5, **shares}


def intervals(gains: list[Floats], small: Floats, large: Floats, draws: int = 200) -> dict[str, list[float]]:
    """For every figure [mean over seeds, 2.5 %, 97.5 %]: ``gains`` has one array a seed; prompts are resampled, the same for all seeds."""
    rng = np.random.default_rng(0)
    n = len(small)
    point = [read(gained, small, large) for gained in gains]
    drawn: list[dict[str, float]] = []
    for draw in range(draws):
        weights = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        drawn.append(read(gains[draw % len(gains)], small, large, weights))
    return {
        name: [float(np.mean([p[name] for p in point])), *(float(x) for x in np.quantile([d[name] for d in drawn], [0.025, 0.975]))]
        for name in point[0]
    }
