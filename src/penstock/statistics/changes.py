"""When did a stream of numbers change: a detector that may look after every one, with a proven rate of false alarms.

Each new score has a conformal p-value among all before it (Vovk, Gammerman and Shafer 2005): its rank, ties broken by chance. As long as
nothing changes these are independent and uniform, whatever the scores are like. Bets against that have a factor whose expectation is 1; a
*Shiryaev-Roberts* detector starts one such bet at every moment and adds them up: M <- (M + 1) factor. M minus the number of scores is then
a martingale, so up to an alarm at M >= limit it takes on average at least ``limit`` scores where nothing has changed (conformal
Shiryaev-Roberts: Vovk, Petej, Nouretdinov, Ahlberg, Carlsson and Gammerman 2021, "Retrain or not retrain"; e-detectors: Shin, Ramdas and
Rinaldo 2024). Averages of such detectors are such detectors again, which is how many kinds of bets share one limit.

The bets: fixed ones on a shift of the ranks, slight and strong, up and down; and one that has learned from the last p-values where they
gather, which finds a spread that grows or shrinks.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from random import Random

_LINEAR = (-1.8, -0.9, 0.9, 1.8)
_POWERS = (0.35, 0.6, 0.85)
_LEARNED = ((10, 40.0), (20, 120.0), (50, 300.0))
"""The learned bets: among how many parts of 0..1, and over how many p-values they remember."""
_PRIOR = 3.0
_MOST = 1e100
EDGE = 5
"""Values that a side has at least where a change is placed."""
_HOLD = 0.3
"""The share of the learned bet that stays on "nothing has changed"."""


class Bets:
    """The Shiryaev-Roberts detector over p-values."""

    def __init__(self) -> None:
        self._money = [0.0] * (len(_LINEAR) + 2 * len(_POWERS) + len(_LEARNED))
        self._seen = [[1.0] * bins for bins, _ in _LEARNED]
        self._whole = [float(bins) for bins, _ in _LEARNED]

    @property
    def evidence(self) -> float:
        return sum(self._money) / len(self._money)

    def observe(self, p: float) -> float:
        money, at = self._money, 0
        off = p - 0.5
        for slope in _LINEAR:
            money[at] = (money[at] + 1) * (1 + slope * off)
            at += 1
        low, high = max(p, 1e-12), max(1 - p, 1e-12)
        for power in _POWERS:
            money[at] = (money[at] + 1) * power * low ** (power - 1)
            money[at + 1] = (money[at + 1] + 1) * power * high ** (power - 1)
            at += 2
        for which, (bins, memory) in enumerate(_LEARNED):
            seen, bin = self._seen[which], min(bins - 1, int(p * bins))
            money[at] = (money[at] + 1) * (_HOLD + (1 - _HOLD) * bins * seen[bin] / self._whole[which])
            at += 1
            # What was seen fades, and a little of every bin is always there, so that no bet is ruinous.
            keep, more = 1 - 1 / memory, _PRIOR / memory
            seen[:] = [one * keep + more for one in seen]
            seen[bin] += 1.0
            self._whole[which] = self._whole[which] * keep + bins * more + 1.0
        # Far beyond any limit it is not counted any more, so that it stays a number.
        if max(money) > _MOST:
            self._money = [min(one, _MOST) for one in money]
        return self.evidence


class Numbers:
    """Watches numbers, or categories by a number of each in an order that stays. ``reference`` are scores by the rule that makes all
    others, which was made of none of them."""

    def __init__(self, reference: Sequence[float], seed: int = 0) -> None:
        self._sorted = sorted(reference)
        self._random = Random(seed)
        self._bets = Bets()

    @property
    def evidence(self) -> float:
        return self._bets.evidence

    def observe(self, value: float) -> float:
        below, up_to = bisect_left(self._sorted, value), bisect_right(self._sorted, value)
        insort(self._sorted, value)
        return self._bets.observe((below + self._random.random() * (up_to - below + 1)) / len(self._sorted))


def changed_at(values: Sequence[float], since: int = 0) -> int:
    """The place from which on ``values`` are most unlike those before, by their ranks: where the standardised difference of the mean rank
    of both sides is largest (Pettitt 1979), and that of how far ranks lie from the middle. Not before ``since``."""
    n = len(values)
    if n - since < 2 * EDGE:
        return max(0, n - 1)
    order = sorted(range(n), key=values.__getitem__)
    ranks = [0.0] * n
    at = 0
    while at < n:
        to = at
        while to + 1 < n and values[order[to + 1]] == values[order[at]]:
            to += 1
        for place in range(at, to + 1):
            ranks[order[place]] = (at + to) / 2 / max(1, n - 1) - 0.5
        at = to + 1
    best, found = -1.0, n - 1
    for series in (ranks, [abs(one) for one in ranks]):
        mean = sum(series) / n
        spread = math.sqrt(sum((one - mean) ** 2 for one in series) / n) or 1.0
        gone = 0.0
        for place in range(1, n - EDGE + 1):
            gone += series[place - 1] - mean
            if place >= max(since, EDGE):
                found_here = abs(gone) / (spread * math.sqrt(place * (n - place) / n))
                if found_here > best:
                    best, found = found_here, place
    return found


def changed_category(values: Sequence[int], kinds: int, since: int = 0) -> int:
    """As `changed_at`, for categories: the place at which the two sides differ most by chi-square."""
    n = len(values)
    total = [0] * kinds
    for one in values:
        total[one] += 1
    here = [0] * kinds
    best, found = -1.0, max(0, n - 1)
    for place in range(1, n - EDGE + 1):
        here[values[place - 1]] += 1
        if place < max(since, EDGE):
            continue
        # The sum over categories of (observed - expected)² / expected on both sides comes to this.
        difference = sum((count - place * whole / n) ** 2 / whole for count, whole in zip(here, total, strict=True) if whole)
        value = difference * n * n / (place * (n - place))
        if value > best:
            best, found = value, place
    return found


__all__ = ["Bets", "Numbers", "changed_at", "changed_category"]
