"""A mean from many judgements of a model and few of people: prediction-powered inference.

Angelopoulos, Bates, Fannjiang, Jordan and Zrnic 2023 (arXiv 2301.09633); the power of the judgements is tuned as in PPI++ (Angelopoulos,
Duchi and Zrnic 2023, arXiv 2311.01453). The model may be as wrong as it likes: where people looked, its mistakes are measured and taken
off, and the better it agrees with them the narrower the interval. It holds as long as the replies that people look at are drawn by chance,
with probabilities whose inverses are the weights (Hájek's estimator).

All of it goes over sums, which a database can make by groups and which add up. Judgements lie between 0 and 1. The normal approximation
fails where a few labels happen to agree wholly with the model, or with each other; so half a label is added to each of the four
combinations of "says 0" and "says 1" (Agresti and Min 2005, for differences of matched proportions), and Student's quantiles are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

from msgspec import Struct

LEAST = 10
"""Labels below which no correction is made: an interval from fewer says next to nothing."""
_HALF = 0.5


class Sums(Struct, frozen=True, kw_only=True):
    """Sums over replies with weight ``w``, of a person's score ``y`` and a model's ``f`` (0 where there is none): ``wwyf`` is the sum of
    w·w·y·f. ``n`` counts the replies."""

    n: int = 0
    w: float = 0.0
    ww: float = 0.0
    wy: float = 0.0
    wf: float = 0.0
    wwy: float = 0.0
    wwf: float = 0.0
    wwyy: float = 0.0
    wwff: float = 0.0
    wwyf: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Estimate(Struct, frozen=True, kw_only=True):
    """A mean with its interval. ``judged`` replies of a model and ``labelled`` of people stand behind it.

    ``method`` is ``prediction-powered``, ``labels`` where people alone speak, or ``judge`` where the model alone does: its interval then
    says what the model would say of all replies, and nothing of whether that is right. ``power`` is the weight that the model's
    judgements were given.
    """

    value: float
    low: float
    high: float
    judged: int
    labelled: int
    method: str
    power: float = 0.0


def sums(rows: Iterable[tuple[float, float, float]]) -> Sums:
    """Of replies: weight, a person's score, the model's."""
    n = 0
    w_ = ww = wy = wf = wwy = wwf = wwyy = wwff = wwyf = 0.0
    for w, y, f in rows:
        n, square = n + 1, w * w
        w_, ww, wy, wf = w_ + w, ww + square, wy + w * y, wf + w * f
        wwy, wwf, wwyy, wwff, wwyf = wwy + square * y, wwf + square * f, wwyy + square * y * y, wwff + square * f * f, wwyf + square * y * f
    return Sums(n=n, w=w_, ww=ww, wy=wy, wf=wf, wwy=wwy, wwf=wwf, wwyy=wwyy, wwff=wwff, wwyf=wwyf)


def estimate(judged: Sums, labelled: Sums, *, confidence: float = 0.95, power: float | None = None) -> Estimate | None:
    """The mean of what people would say of all replies; None where there are none.

    ``judged`` are replies that the model alone judged, ``labelled`` those that both did. ``power`` None tunes it; 1 is right where the
    labels are of other replies than those whose mean is wanted, and only the model's mistakes carry over. With fewer than `LEAST`
    labels the model alone speaks.
    """
    if labelled.n < LEAST:
        every = judged + labelled
        if every.n == 0:
            return None
        value, low, high = _wilson(every.wf, every, confidence)
        return Estimate(value=value, low=low, high=high, judged=every.n, labelled=0, method="judge")
    padded = _padded(labelled)
    cov_y, cov_f, cov_yf = _spread(padded)
    if judged.n == 0:
        return None if power is not None else by_labels(labelled, confidence=confidence)
    _, var_f, _ = _spread(_padded(judged))
    if power is None:
        whole = var_f + cov_f
        power = min(1.0, max(0.0, cov_yf / whole)) if whole > 0 else 0.0
    variance = power * power * (var_f + cov_f) - 2 * power * cov_yf + cov_y
    value = power * judged.wf / judged.w + labelled.wy / labelled.w - power * labelled.wf / labelled.w
    # The half labels widen the interval and draw only its middle, so that the value stays unbiased.
    middle = power * judged.wf / judged.w + padded.wy / padded.w - power * padded.wf / padded.w
    reach = student((1 + confidence) / 2, labelled.n + 1) * math.sqrt(max(0.0, variance))
    value = min(1.0, max(0.0, value))
    return Estimate(
        value=value,
        low=max(0.0, min(value, middle - reach)),
        high=min(1.0, max(value, middle + reach)),
        judged=judged.n,
        labelled=labelled.n,
        method="prediction-powered",
        power=power,
    )


def by_labels(labelled: Sums, *, confidence: float = 0.95) -> Estimate | None:
    """The mean of what people said, without a model; None where they said nothing."""
    if labelled.n == 0:
        return None
    value, low, high = _wilson(labelled.wy, labelled, confidence)
    return Estimate(value=value, low=low, high=high, judged=0, labelled=labelled.n, method="labels")


def _wilson(sum: float, of: Sums, confidence: float) -> tuple[float, float, float]:
    """A weighted mean with Wilson's interval for as many replies as the weights leave (Kish's effective size)."""
    mean, size = sum / of.w, of.w * of.w / of.ww
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (mean + z * z / (2 * size)) / (1 + z * z / size)
    reach = z / (1 + z * z / size) * math.sqrt(max(0.0, mean * (1 - mean)) / size + z * z / (4 * size * size))
    return mean, max(0.0, min(mean, middle - reach)), min(1.0, max(mean, middle + reach))


def _padded(of: Sums) -> Sums:
    """With half a reply more of each combination, of the mean weight."""
    w = of.w / of.n
    half, square = _HALF * w, _HALF * w * w
    return of + Sums(
        w=4 * half, ww=4 * square, wy=2 * half, wf=2 * half, wwy=2 * square, wwf=2 * square, wwyy=2 * square, wwff=2 * square, wwyf=square
    )  # fmt: skip


def _spread(of: Sums) -> tuple[float, float, float]:
    """The variances of the weighted means of y and of f, and their covariance, by linearisation."""
    whole, y, f = of.w * of.w, of.wy / of.w, of.wf / of.w
    return (
        max(0.0, of.wwyy - 2 * y * of.wwy + y * y * of.ww) / whole,
        max(0.0, of.wwff - 2 * f * of.wwf + f * f * of.ww) / whole,
        (of.wwyf - y * of.wwf - f * of.wwy + y * f * of.ww) / whole,
    )


def student(share: float, freedom: float) -> float:
    """The quantile of Student's distribution, by the expansion of Abramowitz and Stegun 26.7.5; within 0.1 % from 8 degrees on."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (at + 1) for at, term in enumerate(terms))


__all__ = ["LEAST", "Estimate", "Sums", "by_labels", "estimate", "student", "sums"]
