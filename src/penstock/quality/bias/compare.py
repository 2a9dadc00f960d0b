"""Do outcomes differ between the two sides of counterfactual pairs: a test, an interval for the difference, and what may be said.

Outcomes are numbers for each pair: a score, a label (1 or 0), a refusal, a length as a share. Where all are 0 or 1, McNemar's test in
its exact form (McNemar 1947): of the pairs that differ, is it by chance that so many differ one way. Else a sign-flip test (Fisher
1935): under the null hypothesis the two sides of a pair could as well be exchanged. Both hold their level for any number of pairs. The
interval is that of `penstock.statistics.betting`, which asks for bounded outcomes and nothing else. With several attributes or measures,
`holm` shares the risk out.

No difference found is not "no difference": that takes an interval inside a tolerance that somebody named before.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from penstock.statistics.bounds import binomial_p_value

Verdict = Literal["differs", "within_tolerance", "unclear"]
"""``differs``: the test rejects, all comparisons of the family considered. ``within_tolerance``: it does not, and the interval lies inside
the tolerance. ``unclear``: neither; more pairs are needed."""

MCNEMAR, SIGN_FLIP = "McNemar, exact", "sign-flip test"
_EXACT_UP_TO, _DRAWS = 14, 9_999


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What the pairs say of one attribute and one measure. ``difference`` is the mean of second minus first, ``low`` and ``high`` its
    interval at ``confidence``. ``differing``: pairs whose two outcomes are not equal. ``skipped``: prompts that gave no pair.
    ``p_value`` is that of this test alone, ``adjusted`` the one after `holm`. ``at``: when, in Unix seconds."""

    attribute: str
    measure: str
    groups: tuple[str, str]
    pairs: int
    skipped: int
    differing: int
    first: float | None
    second: float | None
    difference: float | None
    low: float
    high: float
    p_value: float
    adjusted: float
    confidence: float
    tolerance: float
    method: str
    verdict: Verdict
    at: float


def compare(
    first: Sequence[float],
    second: Sequence[float],
    *,
    attribute: str,
    measure: str,
    groups: tuple[str, str],
    at: float,
    skipped: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare outcomes of the same pairs, each between 0 and 1. Raises ValueError for other outcomes or sides of unequal length.

    A pair without an outcome on either side (a call that failed) has to be left out of both and be counted among ``skipped``.
    """
    n = len(first)
    if len(second) != n:
        raise ValueError(f"the sides have {n} and {len(second)} outcomes; each pair has one on both")
    if not all(0 <= value <= 1 for value in (*first, *second)):
        raise ValueError("outcomes lie between 0 and 1; scale others by their bounds")
    if not (0 < confidence < 1 and tolerance >= 0):
        raise ValueError(f"wants a confidence between 0 and 1 and a tolerance of at least 0, not {confidence} and {tolerance}")
    gains = [b - a for a, b in zip(first, second, strict=True)]
    binary = all(value in (0, 1) for value in (*first, *second))
    p_value = mcnemar(gains) if binary else sign_flip(gains, seed)
    low, high = _interval(gains, confidence, seed)
    found = Comparison(
        attribute=attribute, measure=measure, groups=groups, pairs=n, skipped=skipped, differing=sum(1 for gain in gains if gain),
        first=sum(first) / n if n else None, second=sum(second) / n if n else None, difference=sum(gains) / n if n else None,
        low=low, high=high, p_value=p_value, adjusted=p_value, confidence=confidence, tolerance=tolerance,
        method=MCNEMAR if binary else SIGN_FLIP, verdict="unclear", at=at,
    )  # fmt: skip
    return msgspec.structs.replace(found, verdict=_verdict(found))


def holm(family: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, with p-values of which none is false with more than the risk of one test (Holm 1979), and verdicts by them."""
    order = sorted(range(len(family)), key=lambda index: family[index].p_value)
    adjusted = [0.0] * len(family)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, family[index].p_value * (len(family) - rank)))
        adjusted[index] = highest
    found = [msgspec.structs.replace(one, adjusted=value) for one, value in zip(family, adjusted, strict=True)]
    return [msgspec.structs.replace(one, verdict=_verdict(one)) for one in found]


def mcnemar(gains: Sequence[float]) -> float:
    """Two-sided p-value from differences of -1, 0 and 1: 1 without a pair that differs."""
    up, down = sum(1 for gain in gains if gain > 0), sum(1 for gain in gains if gain < 0)
    return min(1.0, 2 * binomial_p_value(max(up, down), up + down, 0.5)) if up + down else 1.0


def sign_flip(gains: Sequence[float], seed: int = 0) -> float:
    """Two-sided p-value for differences of any size: all sign patterns of up to 14 pairs that differ, beyond that 9,999 drawn ones."""
    sizes = [abs(gain) for gain in gains if gain]
    n = len(sizes)
    if not n:
        return 1.0
    # Lazy: the extra `local`, and only who compares graded outcomes needs it.
    import numpy as np

    if n <= _EXACT_UP_TO:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float((np.abs(sums) >= abs(sum(gains)) - 1e-9).mean())
    rng = np.random.default_rng(seed)
    count = 0
    for start in range(0, _DRAWS, 1111):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (min(1111, _DRAWS - start), n))
        count += int((np.abs(signs @ np.array(sizes)) >= abs(sum(gains)) - 1e-9).sum())
    return (1 + count) / (1 + _DRAWS)


def _interval(gains: Sequence[float], confidence: float, seed: int) -> tuple[float, float]:
    """Bets on either side of the mean, each with half of the risk; in an order that does not depend on the outcomes."""
    if not gains:
        return -1.0, 1.0
    # Lazy: see `sign_flip`.
    import numpy as np

    from penstock.statistics.betting import lower_mean

    order = list(gains)
    random.Random(seed).shuffle(order)
    values, half = np.array(order), (1 + confidence) / 2
    low = lower_mean(values, lowest=-1.0, highest=1.0, confidence=half)
    high = -lower_mean(-values, lowest=-1.0, highest=1.0, confidence=half)
    return max(-1.0, low), min(1.0, high)


def _verdict(found: Comparison) -> Verdict:
    if found.adjusted <= 1 - found.confidence:
        return "differs"
    return "within_tolerance" if found.low >= -found.tolerance and found.high <= found.tolerance else "unclear"
