"""What a count of successes supports: exact bounds for decisions, Wilson's interval for display. Standard library only.

A *floor* is a quality that a policy has to reach. A p-value here belongs to the hypothesis "the quality is below the floor", so a small
one lets the floor be claimed; it is valid for any number of samples, not only for many.
"""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927), for display: near its level on average, below it for some rates, so nothing is decided by it.

    Nothing observed gives (0, 1).
    """
    _check(successes, n, confidence)
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, weight = successes / n, 1 + z * z / n
    middle = (rate + z * z / (2 * n)) / weight
    half = z / weight * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a rate (Clopper and Pearson 1934): covers in at least ``confidence`` of all samples, for any rate."""
    half = (1 + confidence) / 2
    return lower_bound(successes, n, half), 1 - lower_bound(n - successes, n, half)


def lower_bound(successes: int, n: int, confidence: float = 0.95) -> float:
    """The exact one-sided lower bound: the largest floor that `binomial_p_value` rejects at ``1 - confidence``; 0 without data."""
    _check(successes, n, confidence)
    if successes == 0:
        return 0.0
    low, high = 0.0, successes / n
    for _ in range(60):  # bisection to 1e-18: the tail grows with the floor
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_p_value(successes, n, middle) <= 1 - confidence else (low, middle)
    return low


def binomial_p_value(successes: int, n: int, floor: float) -> float:
    """How likely ``successes`` or more of ``n`` are when the rate is only ``floor``: P(Bin(n, floor) >= successes), exactly.

    Identity with the incomplete beta function: DLMF 8.17.5. Without data the answer is 1.
    """
    _check(successes, n, 0.5)
    if not 0 <= floor <= 1:
        raise ValueError(f"a floor lies between 0 and 1, not {floor}")
    return 1.0 if successes == 0 else incomplete_beta(successes, n - successes + 1, floor)


def hoeffding_bentkus(mean: float, n: int, floor: float) -> float:
    """A valid p-value for "the expectation is at most ``floor``" from the mean of ``n`` values in [0, 1], whatever their distribution.

    The smaller of Hoeffding's bound in its relative-entropy form (Hoeffding 1963, theorem 1) and Bentkus's, e times the binomial tail
    (Bentkus 2004), as Bates, Angelopoulos, Lei, Malik and Jordan 2021 join them. For values of 0 and 1, `binomial_p_value` is sharper.
    """
    _check(mean * n, n, 0.5)
    if n == 0 or mean <= floor:
        return 1.0
    if floor == 0:
        return 0.0
    chernoff = math.exp(-n * _relative_entropy(mean, floor))
    bentkus = math.e * binomial_p_value(math.floor(mean * n + 1e-9), n, floor)
    return min(1.0, chernoff, bentkus)


def labels_needed(mean: float, variance: float, floor: float, confidence: float = 0.95, power: float = 0.8) -> int | None:
    """About how many labels would certify ``floor`` with probability ``power``, if mean and variance stay as they look now.

    The size of a one-sided test of a mean under the normal approximation: a forecast, no promise. None when the mean is not above the
    floor, since then no number of labels would do.
    """
    margin = mean - floor
    if margin <= 0:
        return None
    z = NormalDist().inv_cdf(confidence) + NormalDist().inv_cdf(power)
    return max(1, math.ceil(z * z * variance / (margin * margin)))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for a, b > 0: the continued fraction of DLMF 8.17.22 by Lentz's method."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image converges fast
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction


def _relative_entropy(a: float, b: float) -> float:
    first = a * math.log(a / b) if a > 0 else 0.0
    second = (1 - a) * math.log((1 - a) / (1 - b)) if a < 1 else 0.0
    return first + second


def _check(successes: float, n: int, confidence: float) -> None:
    if not (n >= 0 and 0 <= successes <= n and 0 < confidence < 1):
        raise ValueError(f"{successes} of {n} at confidence {confidence}: wants 0 <= successes <= n and a confidence between 0 and 1")
