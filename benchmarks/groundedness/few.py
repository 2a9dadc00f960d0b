"""What a task gets from a few labels of its own: limits that keep their promise, and how much stays unsure between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.groundedness.data import Floats
from benchmarks.groundedness.measures import balanced
from penstock.quality.grounded.calibrate import calibrate

SIZES = (50, 100, 200, 300)
DRAWS = 200
ERROR, CONFIDENCE = 0.1, 0.95


def run(scores: Floats, y: Floats) -> dict[str, Any]:
    """For each number of labels, over `DRAWS` draws: how often a class's error exceeds `ERROR` on the whole set, which plays the traffic;
    the share of the other rows that is unsure; and the balanced accuracy on them of the one threshold picked on the labels. ``half`` is
    the accuracy without labels."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"half": balanced(y, scores, 0.5), "best": max(balanced(y, scores, t) for t in np.unique(scores)[::5])}
    for size in SIZES:
        broken: list[float] = []
        unsure: list[float] = []
        accuracy: list[float] = []
        if size > len(y) * 0.6:
            continue
        for _ in range(DRAWS):
            order = rng.permutation(len(y))
            mine, rest = order[:size], order[size:]
            labels = [(float(scores[i]), bool(y[i])) for i in mine]
            one = calibrate(labels, detector="", at=0.0, error=ERROR, confidence=CONFIDENCE)
            bad, good = scores[y > 0], scores[y == 0]
            missed, flagged = float((bad <= one.limits.low).mean()), float(((good >= one.limits.high) & (good > one.limits.low)).mean())
            broken.append(float(missed > ERROR or flagged > ERROR))
            unsure.append(float(((scores[rest] > one.limits.low) & (scores[rest] < one.limits.high)).mean()))
            if one.threshold is not None:
                accuracy.append(balanced(y[rest], scores[rest], one.threshold))
        found[str(size)] = {
            "broken": float(np.mean(broken)),
            "unsure": float(np.mean(unsure)),
            "balanced": [float(np.mean(accuracy)), *(float(q) for q in np.quantile(accuracy, [0.025, 0.975]))],
        }
    return found
