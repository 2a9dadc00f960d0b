"""How far a judge agrees with people, and what else can be seen of one that fails or lies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance

from msgspec import Struct

from penstock.statistics.bounds import binomial_p_value, clopper_pearson, lower_bound

TRUSTED_KAPPA = 0.4
"""Cohen's kappa that the lower bound must reach: what Landis and Koch 1977 call moderate agreement begins there."""
CONFIDENCE = 0.95
MOST_UNJUDGED = 0.1
LEAST_SEEN = 20
"""Verdicts before a judge is called constant."""


class Agreement(Struct, frozen=True, kw_only=True):
    """On ``answers`` that both a judge and people have judged. ``raw`` is the share on which they agree, with its exact interval.

    ``kappa`` is what is left of that beyond chance (Cohen 1960); ``kappa_low`` its lower bound, from the exact one-sided bound of the raw
    agreement. None where chance alone would agree always.
    """

    answers: int
    raw: float
    raw_low: float
    raw_high: float
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None


class Swaps(Struct, frozen=True, kw_only=True):
    """Of ``asked`` pairs, how many verdicts contradicted each other when the places were swapped, and for which place."""

    asked: int
    contradicted: int
    for_first: int
    for_second: int
    p: float


class SelfPreference(Struct, frozen=True, kw_only=True):
    """How much higher the judge scores its own model's answers than ``against`` (people, or other judges) do, beyond what it does so for
    other models' answers; with an interval at 95 %."""

    against: str
    own: int
    others: int
    difference: float
    low: float
    high: float


def group(score: float, *, three: bool) -> int:
    """The class of a score: good or not; with ``three``, better, a tie, or worse."""
    if three:
        return 2 if score > 2 / 3 else 0 if score < 1 / 3 else 1
    return int(score >= 0.5)


def agreement(pairs: Sequence[tuple[int, int]]) -> Agreement | None:
    """Of pairs of classes, the judge's and the people's; None of nothing."""
    n = len(pairs)
    if not n:
        return None
    same = sum(a == b for a, b in pairs)
    low, high = clopper_pearson(same, n, CONFIDENCE)
    mine, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(mine[each] * theirs[each] for each in mine) / (n * n)
    raw = same / n

    def beyond(share: float) -> float | None:
        return None if chance >= 1 else (share - chance) / (1 - chance)

    return Agreement(
        answers=n,
        raw=raw,
        raw_low=low,
        raw_high=high,
        kappa=beyond(raw),
        kappa_low=beyond(lower_bound(same, n, CONFIDENCE)),
        kappa_high=beyond(high),
    )


def swaps(verdicts: Sequence[tuple[float, float]]) -> Swaps | None:
    """Of pairs of scores for the same answer, standing first and standing second; None of nothing."""
    if not verdicts:
        return None
    first, second = sum(a > b for a, b in verdicts), sum(a < b for a, b in verdicts)
    told = max(first, second)
    p = min(1.0, 2 * binomial_p_value(told, first + second, 0.5)) if told else 1.0
    return Swaps(asked=len(verdicts), contradicted=first + second, for_first=first, for_second=second, p=p)


def self_preference(own: Sequence[float], others: Sequence[float], against: str) -> SelfPreference | None:
    """Of the judge's scores less the others' on its own model's answers, and on other models'; None of too few to say."""
    if len(own) < 2 or len(others) < 2:
        return None
    difference = fmean(own) - fmean(others)
    # Welch's interval under the normal approximation; the floor of the variance keeps a handful of equal scores from looking certain.
    spread = max(variance(own), 0.01) / len(own) + max(variance(others), 0.01) / len(others)
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * math.sqrt(spread)
    return SelfPreference(
        against=against, own=len(own), others=len(others), difference=difference, low=difference - half, high=difference + half
    )


def faults(
    *,
    judged: int,
    unjudged: int,
    classes: Sequence[int],
    measured: Agreement | None,
    swapped: Swaps | None,
    preference: SelfPreference | None,
    contradicting: int,
) -> list[str]:
    """What speaks against trusting a judge, in words; nothing where it is to be trusted."""
    found: list[str] = []
    asked = judged + unjudged
    if asked and lower_bound(unjudged, asked, CONFIDENCE) > MOST_UNJUDGED:
        found.append(f"it fails: {unjudged} of {asked} answers were not judged")
    if len(classes) >= LEAST_SEEN and len(set(classes)) == 1:
        found.append(f"it says the same of all {len(classes)} answers")
    if swapped is not None and swapped.contradicted and swapped.p < 1 - CONFIDENCE and swapped.contradicted > 0.2 * swapped.asked:
        place = "first" if swapped.for_first > swapped.for_second else "second"
        found.append(f"it prefers the answer that stands {place}: {swapped.contradicted} of {swapped.asked} verdicts turn with the places")
    if preference is not None and preference.low > 0:
        found.append(f"it prefers its own model's answers, by {preference.difference:.2f} ({preference.against} say otherwise)")
    if measured is None:
        found.append("nobody has labelled answers that it judged: agreement with people is not known")
    elif measured.kappa_low is None:
        found.append("people and judge say the same of everything, which chance would do too: label answers of both kinds")
    elif measured.kappa_low < TRUSTED_KAPPA:
        found.append(
            f"agreement beyond chance (kappa {measured.kappa:.2f}) is surely no more than {measured.kappa_low:.2f} on {measured.answers} "
            f"answers; {TRUSTED_KAPPA:g} is needed"
        )
    if measured is not None and contradicting > 0.2 * (measured.answers + contradicting):
        found.append(f"people contradict each other on {contradicting} answers")
    return found


__all__ = [
    "TRUSTED_KAPPA",
    "Agreement",
    "SelfPreference",
    "Swaps",
    "agreement",
    "faults",
    "group",
    "self_preference",
    "swaps",
]
