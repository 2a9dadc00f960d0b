"""From which score on two questions of a task have the same answer: a threshold with a bound on how often that is wrong.

A hit is a question whose score is at least the threshold (and that is worded like its neighbour, where that is asked); a false hit is
one whose own answer would have been another. The bound must hold for the threshold that is picked, so picking is part of the method: fixed
sequence testing from several starting points (Angelopoulos, Bates, Candès, Jordan, Lei, *Learn then Test*, 2021, section 4). Thresholds of
a grid that was fixed before are tested from above, each with an exact binomial test of "more than the bound of the hits are false"; a
sequence ends with the first threshold that does not pass. Where sequences start depends on the number of hits alone, not on how many are
false. The error is shared out among the sequences, so the bound holds for all that pass at once.

What it takes for granted: that pairs are drawn one by one like those to come: questions from the same traffic, against neighbours found in
the same way. Where traffic changes, calibrate again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

GRID = tuple(round(1.4 - 0.005 * step, 3) for step in range(121))
"""Thresholds of the score, 1.4 to 0.8 (`penstock.cache.neighbours.score`)."""
STARTS = 4
METHOD = f"fixed sequence testing from {STARTS} starts, exact binomial tests (Learn then Test)"

Pair = tuple[float, bool, bool]
"""Score, whether both are worded alike, whether both have the same answer."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold would have done on the pairs; ``upper`` is the exact upper bound on the share of false hits."""

    threshold: float
    hits: int
    false: int
    upper: float


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How a threshold was found, or why none was. ``hit_rate`` is the share of the pairs that would have been hits."""

    method: str
    bound: float
    confidence: float
    wording: bool
    pairs: int
    threshold: float | None
    hits: int
    false: int
    hit_rate: float
    upper: float
    reason: str
    steps: tuple[Step, ...]


def calibrate(pairs: Sequence[Pair], *, bound: float, confidence: float, wording: bool) -> Evidence:
    """The smallest threshold for which the pairs support, with ``confidence``, that at most ``bound`` of the hits are false.

    ``wording`` counts as hits only pairs that are worded alike. ``threshold`` is None, and ``reason`` says why, where they support none.
    """
    error = (1 - confidence) / STARTS
    steps = curve(pairs, wording=wording, confidence=1 - error)
    least = math.ceil(math.log(error) / math.log(1 - bound))
    chosen: Step | None = None
    for start in range(STARTS):
        for step in steps:
            if step.hits < least << start:
                continue
            if below(step.false, step.hits, bound) > error:
                break
            if chosen is None or step.threshold < chosen.threshold:
                chosen = step
    shown = tuple(step for step in steps if step.hits)
    hits = sum(1 for _, worded, _ in pairs if worded or not wording)
    if chosen is None:
        most = max((step.hits for step in steps), default=0)
        why = (
            f"{most} pairs lie above {GRID[-1]:g} (of {hits} that could count); it takes {least} without a fault to show {bound:.2%}"
            if most < least
            else f"at every threshold with at least {least} hits too many of them are false for {bound:.2%}"
        )
        return Evidence(
            method=METHOD, bound=bound, confidence=confidence, wording=wording, pairs=len(pairs), threshold=None, hits=0, false=0,
            hit_rate=0.0, upper=1.0, reason=why, steps=shown,
        )  # fmt: skip
    return Evidence(
        method=METHOD, bound=bound, confidence=confidence, wording=wording, pairs=len(pairs), threshold=chosen.threshold,
        hits=chosen.hits, false=chosen.false, hit_rate=chosen.hits / len(pairs), upper=chosen.upper, reason="", steps=shown,
    )  # fmt: skip


def curve(pairs: Sequence[Pair], *, wording: bool, confidence: float, grid: Sequence[float] = GRID) -> list[Step]:
    """Hits and false hits at every threshold of the grid, from above."""
    ranked = sorted(((score, same) for score, worded, same in pairs if worded or not wording), reverse=True)
    steps: list[Step] = []
    hits = false = 0
    for threshold in grid:
        while hits < len(ranked) and ranked[hits][0] >= threshold:
            false += not ranked[hits][1]
            hits += 1
        steps.append(Step(threshold=threshold, hits=hits, false=false, upper=upper(false, hits, confidence)))
    return steps


def below(count: int, of: int, share: float) -> float:
    """The probability of at most ``count`` successes among ``of`` trials that succeed with probability ``share``."""
    if count >= of or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    # P(X <= k) is the regularised incomplete beta function I_{1-p}(n-k, k+1).
    return _incomplete_beta(of - count, count + 1, 1 - share)


def upper(count: int, of: int, confidence: float) -> float:
    """The exact (Clopper-Pearson) one-sided upper bound on a share of which ``count`` among ``of`` were seen; 1 where nothing was."""
    if count >= of:
        return 1.0
    if not count:
        return 1.0 - (1 - confidence) ** (1 / of)
    low, high = count / of, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if below(count, of, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower(count: int, of: int, confidence: float) -> float:
    """The exact one-sided lower bound; 0 where nothing was seen."""
    return 1.0 - upper(of - count, of, confidence) if count else 0.0


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """By the continued fraction of DLMF 8.17.22, evaluated with Lentz's method on the side where it converges at once."""
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1.0 / _away(1.0 + even * d, tiny), _away(1.0 + even / c, tiny)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1.0 / _away(1.0 + odd * d, tiny), _away(1.0 + odd / c, tiny)
        value *= d * c
        if abs(d * c - 1.0) < 1e-14:
            break
    return min(1.0, front * value)


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
