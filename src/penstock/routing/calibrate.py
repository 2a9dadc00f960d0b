"""Scores into chances: Platt's sigmoid for a few hundred labels, isotonic regression for thousands, and how far off a forecast is."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """chance = 1 / (1 + exp(-(slope * score + shift)))."""

    slope: float
    shift: float

    def chances(self, scores: Floats) -> Floats:
        return 1 / (1 + np.exp(-(scores * self.slope + self.shift)))


def platt(scores: Floats, outcomes: Floats) -> Calibration:
    """Platt 1999 by Newton's method, with his smoothed targets, so that outcomes that are all alike stay finite.

    ``outcomes`` may be graded, 0 to 1. A score without spread gives the outcomes' mean, and so does one that
    falls where outcomes rise.
    """
    n, right = len(outcomes), float(outcomes.sum())
    smoothed = outcomes * ((right + 1) / (right + 2)) + (1 - outcomes) / (n - right + 2)
    rate = min(max(float(smoothed.mean()), 1e-6), 1 - 1e-6)
    at, spread = float(scores.mean()), float(scores.std())
    intercept, slope = float(np.log(rate / (1 - rate))), 0.0
    if spread > 1e-12:
        standard = (scores - at) / spread

        def loss(intercept: float, slope: float) -> float:
            found = standard * slope + intercept
            return float((np.logaddexp(0, found) - smoothed * found).sum()) + 0.05 * slope * slope

        for _ in range(50):
            chance = 1 / (1 + np.exp(-(standard * slope + intercept)))
            weight = chance * (1 - chance)
            off = smoothed - chance
            # A little ridge on the slope: perfectly separated outcomes would send it to infinity.
            a, b, c = float(weight.sum()), float((weight * standard).sum()), float((weight * standard**2).sum()) + 0.1
            g, h = float(off.sum()), float((off * standard).sum()) - 0.1 * slope
            determinant = max(a * c - b * b, 1e-12)
            step = ((c * g - b * h) / determinant, (a * h - b * g) / determinant)
            # Whole steps diverge where a few scores lie far from the others; one that makes it worse is halved.
            here, share = loss(intercept, slope), 1.0
            while share > 1e-9 and loss(intercept + share * step[0], slope + share * step[1]) > here:
                share /= 2
            intercept, slope = intercept + share * step[0], slope + share * step[1]
            if share * (abs(step[0]) + abs(step[1])) < 1e-10:
                break
        if slope < 0:
            # The mean of the others foretells the opposite of each that is left out, which is nothing to turn estimates round by.
            intercept, slope = float(np.log(rate / (1 - rate))), 0.0
        slope /= spread
    return Calibration(slope=slope, shift=intercept - slope * at)


class Isotonic(msgspec.Struct, frozen=True, kw_only=True):
    """A rising step function: ``chances`` [k] at ``scores`` [k], interpolated between, flat beyond the ends."""

    at: Floats
    values: Floats

    def chances(self, scores: Floats) -> Floats:
        return np.interp(scores, self.at, self.values)


def isotonic(scores: Floats, outcomes: Floats) -> Isotonic:
    """The rising function nearest to the outcomes: pooling of adjacent violators (Ayer and others 1955)."""
    if not len(scores):
        raise ValueError("nothing to calibrate with")
    order = np.argsort(scores, kind="stable")
    blocks: list[list[float]] = []  # [mean, weight, sum of scores]
    for score, outcome in zip(scores[order].tolist(), outcomes[order].tolist(), strict=True):
        blocks.append([outcome, 1.0, score])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, weight, total = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
            last[1] += weight
            last[2] += total
    return Isotonic(at=np.array([total / weight for _, weight, total in blocks]), values=np.array([mean for mean, _, _ in blocks]))


def calibration_error(chances: Floats, outcomes: Floats, bins: int = 10) -> float:
    """The mean distance between forecast and frequency over ``bins`` bins of equal size (expected calibration error, Naeini 2015)."""
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if part.size]
    return float(sum(part.size * abs(float(chances[part].mean() - outcomes[part].mean())) for part in parts) / max(1, len(order)))
