"""What scores support: intervals for the eye, exact or betting tests for claims.

A claim "the mean is at least the floor" must hold whatever the missing scores were: answers that failed, were not judged or still wait
count as 0 against it, and as 1 against the claim that a group is broken. How a claim is tested is fixed before the scores are seen, by the
kind of judge: where scores can only be 0 or 1, by the binomial distribution; else by a bet (`penstock.statistics.betting`) where numpy is
installed, and by Hoeffding's and Bentkus's bounds where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from statistics import NormalDist, fmean, pvariance
from typing import TYPE_CHECKING

from msgspec import Struct

from penstock.statistics.bounds import binomial_p_value, hoeffding_bentkus, labels_needed, lower_bound, wilson

if TYPE_CHECKING:
    from penstock.statistics.intervals import Floats

MEETS, BELOW, OPEN, FEW = "meets", "below", "open", "too_few"
"""What can be said of a floor: it is met, it is missed, neither can be said, or there are too few scores to say anything."""


class Interval(Struct, frozen=True):
    """For display. ``method`` is ``wilson`` or ``bootstrap``."""

    low: float
    high: float
    method: str


class Claim(Struct, frozen=True, kw_only=True):
    """What can be said of a floor at its confidence. ``p`` and ``p_below`` are p-values of "it is not met" and "it is met", after
    the correction for several claims at once; ``bound`` is the lower bound of the mean where there is one. ``needed`` is about how many
    scores would carry the claim if all stays as it looks."""

    level: float
    confidence: float
    verdict: str
    p: float
    p_below: float
    method: str
    bound: float | None = None
    needed: int | None = None


class Difference(Struct, frozen=True, kw_only=True):
    """The mean difference of two candidates on the items that both have scores for, and how likely it is by chance."""

    items: int
    difference: float
    low: float
    high: float
    p: float
    method: str
    better: int
    worse: int
    same: int


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Of the mean: Wilson's of scores that are 0 or 1, else bootstrapped."""
    if binary(values) or len(values) < 2 or not _numpy():
        # With a fractional sum, too: no spread of scores in 0..1 is wider than that of 0 and 1.
        return Interval(*wilson(sum(values), len(values), confidence), "wilson")
    from penstock.statistics.intervals import mean_interval

    return Interval(*mean_interval(_array(values), confidence=confidence), "bootstrap")


def claim(values: Sequence[float], missing: int, level: float, confidence: float, *, whole: bool, least: int = 1, of: int = 1) -> Claim:
    """What can be said of an absolute floor. ``whole`` says that scores can only be 0 or 1, ``of`` how many claims are made at once.

    ``values`` stand in an order that does not depend on them.
    """
    n = len(values) + missing
    p, method = _at_least(values, missing, level, confidence, whole, of)
    opposite = [1 - value for value in values]
    p_below = _at_least(opposite, missing, 1 - level, confidence, whole, of)[0] if level < 1 else _all_right(opposite)
    alpha = 1 - confidence
    verdict = FEW if n < least else MEETS if p <= alpha else BELOW if p_below <= alpha else OPEN
    needed = None
    if verdict == OPEN and len(values) > 1:
        needed = labels_needed(fmean(values), max(pvariance(values), 1e-9), level, confidence)
    bound = lower_bound(round(sum(values)), n, confidence) if whole and n else None
    return Claim(level=level, confidence=confidence, verdict=verdict, p=p, p_below=p_below, method=method, bound=bound, needed=needed)


def relative_claim(pairs: Sequence[tuple[float | None, float | None]], level: float, confidence: float, *, of: int = 1) -> Claim:
    """What can be said of "at least ``level`` times the reference": of pairs of a candidate's score and the reference's, by item.

    A pair with a gap counts as the worst that it could be for what is claimed.
    """
    n = len(pairs)
    if not n:
        return Claim(level=level, confidence=confidence, verdict=FEW, p=1.0, p_below=1.0, method="none")
    worst = [(mine if mine is not None else 0.0) - level * (other if other is not None else 1.0) for mine, other in pairs]
    best = [(mine if mine is not None else 1.0) - level * (other if other is not None else 0.0) for mine, other in pairs]
    alpha = 1 - confidence
    p, method = _above_zero(worst, -level, 1.0, alpha, of)
    p_below, _ = _above_zero([-margin for margin in best], -1.0, level, alpha, of)
    verdict = MEETS if p <= alpha else BELOW if p_below <= alpha else OPEN
    needed = labels_needed(fmean(worst), max(pvariance(worst), 1e-9), 0.0, confidence) if verdict == OPEN and n > 1 else None
    return Claim(level=level, confidence=confidence, verdict=verdict, p=p, p_below=p_below, method=method, needed=needed)


def _at_least(values: Sequence[float], missing: int, level: float, confidence: float, whole: bool, of: int) -> tuple[float, str]:
    """The p-value of "the mean is below ``level``", with every missing score as 0; and how it was had."""
    n = len(values) + missing
    if n == 0:
        return 1.0, "none"
    if whole:
        return binomial_p_value(round(sum(values)), n, level), "binomial"
    return _above_zero([*(value - level for value in values), *([-level] * missing)], -level, 1 - level, 1 - confidence, of)


def _above_zero(margins: Sequence[float], lowest: float, highest: float, alpha: float, of: int) -> tuple[float, str]:
    """The p-value of "the expected margin is not above 0". A bet only says whether it is rejected at its share of ``alpha``."""
    if lowest < 0 < highest and _numpy():
        from penstock.statistics.betting import positive_mean

        rejected = fmean(margins) > 0 and bool(positive_mean(_array(margins)[:, None], lowest=lowest, alpha=alpha / of)[0])
        return (alpha / of if rejected else 1.0), "betting"
    width = highest - lowest
    return hoeffding_bentkus(min(1.0, max(0.0, (fmean(margins) - lowest) / width)), len(margins), -lowest / width), "hoeffding-bentkus"


def _all_right(opposite: Sequence[float]) -> float:
    # Against a floor of 1 a single wrong answer is proof.
    return 0.0 if any(value > 0 for value in opposite) else 1.0


def difference(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Difference:
    """``first`` less ``second``, item by item. The p-value is McNemar's exact one for scores of 0 and 1, and for others the sign
    test's, which asks who is better more often and not by how much."""
    deltas = [a - b for a, b in zip(first, second, strict=True)]
    better, worse = sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
    n = len(deltas)
    mean = fmean(deltas) if n else 0.0
    if n > 1 and _numpy():
        from penstock.statistics.intervals import mean_interval

        low, high = mean_interval(_array(deltas), confidence=confidence)
    else:
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        half = z * math.sqrt(pvariance(deltas) / n) if n > 1 else 1.0
        low, high = max(-1.0, mean - half), min(1.0, mean + half)
    told = max(better, worse)
    # Under "no difference" each item that tells them apart falls to either side like a coin.
    p = min(1.0, 2 * binomial_p_value(told, better + worse, 0.5)) if better + worse else 1.0
    method = "mcnemar" if binary(first) and binary(second) else "sign"
    return Difference(items=n, difference=mean, low=low, high=high, p=p, method=method, better=better, worse=worse, same=n - better - worse)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for being several (Holm 1979): the chance that any of them is false stays what one alone would have."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    made, highest = [1.0] * len(values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, values[at] * (len(values) - rank)))
        made[at] = highest
    return made


def together(claims: Sequence[Claim]) -> list[Claim]:
    """Claims that are made at once, each corrected for the others by Holm's method; those with too few scores stay what they are."""
    among = [at for at, one in enumerate(claims) if one.verdict != FEW]
    p = holm([claims[at].p for at in among])
    p_below = holm([claims[at].p_below for at in among])
    made = list(claims)
    for place, at in enumerate(among):
        one = claims[at]
        alpha = 1 - one.confidence
        verdict = MEETS if p[place] <= alpha else BELOW if p_below[place] <= alpha else OPEN
        made[at] = Claim(
            level=one.level,
            confidence=one.confidence,
            verdict=verdict,
            p=p[place],
            p_below=p_below[place],
            method=one.method,
            bound=one.bound,
            needed=one.needed,
        )
    return made


def binary(values: Sequence[float]) -> bool:
    """Whether every score is 0 or 1."""
    return all(value in (0.0, 1.0) for value in values)


def _numpy() -> bool:
    # Of the extra: without it there are other methods.
    return find_spec("numpy") is not None


def _array(values: Sequence[float]) -> Floats:
    import numpy as np

    return np.array(values, dtype=np.float64)
