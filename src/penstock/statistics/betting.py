"""A test of a bounded mean by betting against it, for floors that compare two models on the same prompts.

"The policy is right at least ``fraction`` as often as the strong model" is a statement about one number per prompt, its *margin*:
``policy - fraction * strong``, which lies between -fraction and 1. It holds when the expected margin is not negative. A gambler who
stakes a share of their money on every margin cannot, if the expectation is negative or 0, expect to gain: their money is a test
supermartingale, and it reaches 1/alpha with probability alpha at most (Ville 1939). Waudby-Smith and Ramdas 2024 ("Estimating means
of bounded random variables by betting") give the method; any stake that looks only backwards keeps it valid.

The stake decides how sharp it is. Ours is that of somebody who wants exactly 1/alpha after the last margin and nothing more: the hedge
of a digital option under a normal approximation (Föllmer and Leukert 1999), recalculated from the money in hand, as STaR-Bets do
(Voráček and Orabona 2025). With money K, m margins to come and deviation s, it is phi(x) / (Phi(x) s sqrt(m)) where Phi(x) = alpha K.
The approximation costs power where it is wrong, never validity. Measured in tests/statistics/test_betting.py: close to the z-test's power.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

# The last step lands near the target, not on it; aiming above it by this much loses less than missing it.
_AIM = 1.15


def positive_mean(margins: Floats, *, lowest: float, alpha: float) -> NDArray[np.bool_]:
    """Which columns of ``margins`` [n, policies] have an expectation above 0, each claimed falsely with probability ``alpha`` at most.

    ``lowest`` is the smallest value that a margin can take, below 0. Rows must be in an order that does not depend on their values (that
    of arrival, or shuffled): the stake learns from the rows before. Each column is a test of its own; who tests several shares alpha.
    """
    if not (lowest < 0 and 0 < alpha < 1):
        raise ValueError(f"wants lowest < 0 and 0 < alpha < 1, not {lowest} and {alpha}")
    if margins.size and float(margins.min()) < lowest - 1e-12:
        raise ValueError(f"a margin of {float(margins.min())} is below the lowest possible, {lowest}")
    n, policies = margins.shape
    money = np.ones(policies)
    most = 1.0 / -lowest  # the stake with which the worst margin takes everything
    done = np.zeros(policies, dtype=np.bool_)
    chances, slopes = _hedge()
    # A prior of one margin of each end keeps the first deviations finite.
    total = np.zeros(policies)
    squares = np.full(policies, lowest * lowest / 4)
    for row in range(n):
        margin = margins[row]
        seen = row + 1
        mean = total / seen
        deviation = np.sqrt(np.maximum(squares / seen - mean * mean, lowest * lowest / (4 * seen)))
        chance = np.log(np.clip(money * (alpha / _AIM), 1e-12, 1 - 1e-9))
        stake = np.interp(chance, chances, slopes) / (deviation * np.sqrt(n - row))
        money *= 1 + np.where(done, 0.0, np.minimum(stake, 0.95 * most)) * margin
        done |= money * alpha >= 1
        total += margin
        squares += margin * margin
    return done


def lower_mean(margins: Floats, *, lowest: float, highest: float, confidence: float = 0.95, step: float = 0.0025) -> float:
    """A lower confidence bound of the expectation of ``margins`` [n]: the largest c on a grid of ``step`` that "mean <= c" is rejected for.

    Tested in rising order, stopping at the first that stands, so the level holds for the whole. ``lowest`` when nothing is rejected.
    """
    grid = np.arange(lowest + step, min(highest, float(margins.mean()) if margins.size else lowest) + step, step)
    if not grid.size or not margins.size:
        return lowest
    # One stake's scale per column: shifted by c, the smallest value is lowest - c.
    rejected = 0
    for start in range(0, grid.size, 64):
        part = grid[start : start + 64]
        held = positive_mean(margins[:, None] - part[None, :], lowest=lowest - float(part[-1]), alpha=1 - confidence)
        rejected += int(np.argmin(held)) if not held.all() else part.size
        if not held.all():
            break
    return float(grid[rejected - 1]) if rejected else lowest


@cache
def _hedge() -> tuple[Floats, Floats]:
    """phi(x) / Phi(x) by log Phi(x), on a grid: the normal distribution's inverse is too slow for the loop."""
    normal = NormalDist()
    at = np.linspace(-7.0, 6.0, 1301)
    chance = np.array([normal.cdf(float(x)) for x in at])
    density = np.exp(-at * at / 2) / np.sqrt(2 * np.pi)
    return np.log(chance), density / chance
