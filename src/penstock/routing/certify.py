"""Learn, then test: which of many policies may be said to reach a floor, with one confidence for the whole choice.

Policies stand in an order fixed before their labels are seen, from the safest (everything to the strong model) to the cheapest. Each is
tested in turn at the same level, and the first that fails ends the walk: the chance that any false claim is made is at most alpha
(fixed-sequence testing, Maurer, Hothorn and Lehmacher 1995; for thresholds of a model, Angelopoulos, Bates, Candès, Jordan and Lei 2021,
"Learn then Test"). With several starts, each has its share of alpha and walks by itself, so that one weak stretch does not end everything.

The tests: exact binomial ones for an absolute floor on right or wrong answers, bets for graded answers and for a floor relative to the
strong model's quality on the same prompts (`penstock.statistics.betting`).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.kernel.tasks import Floor
from penstock.statistics.betting import positive_mean
from penstock.statistics.bounds import binomial_p_value, labels_needed

Floats: TypeAlias = NDArray[np.float64]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What the labels support. ``policy`` is a column, or None: cannot certify, ``why`` says what is missing.

    ``certified``: every column that the floor is claimed for, all at once at the floor's confidence. ``quality``: the mean of the
    chosen column on these labels, or of the safest. ``labels_wanted``: about how many labels would certify the safest policy with a
    probability of 0.8, when that may help.
    """

    policy: int | None
    certified: tuple[int, ...]
    labels: int
    quality: float | None
    why: str
    labels_wanted: int | None = None


def certify(scores: Floats, costs: Floats, floor: Floor, *, reference: Floats | None = None, starts: int = 1) -> Certificate:
    """The cheapest of the policies whose floor holds. ``scores`` [n, policies]: how well each would have done on each label, 0 to 1.

    Columns run from the safest to the cheapest, in an order that these labels had no part in; rows likewise (see `positive_mean`).
    ``costs`` [policies] are what is minimised: they are measured, not claimed. ``reference`` [n]: the scores of the model that a
    relative floor refers to. Raises ValueError when it is missing there, or when scores lie outside 0 to 1.
    """
    n, policies = scores.shape
    if policies == 0 or starts < 1:
        raise ValueError("there is no policy to certify" if policies == 0 else f"starts must be at least 1, not {starts}")
    if scores.size and not (float(scores.min()) >= 0 and float(scores.max()) <= 1):
        raise ValueError("scores lie between 0 and 1")
    holds = rejected(scores, floor, reference, (1 - floor.confidence) / starts)
    certified = walk(holds, starts)
    if not certified:
        return _cannot(scores, floor, reference)
    best = min(certified, key=lambda column: (float(costs[column]), column))
    sentence = f"{len(certified)} of {policies} policies hold the floor at {floor.confidence:.0%} confidence on {n} labels"
    return Certificate(policy=best, certified=certified, labels=n, quality=float(scores[:, best].mean()), why=sentence)


def rejected(scores: Floats, floor: Floor, reference: Floats | None, alpha: float) -> NDArray[np.bool_]:
    """For each column by itself: is "below the floor" rejected at level ``alpha``? ``reference`` is one for all [n] or one a column."""
    if floor.kind == "relative":
        if reference is None:
            raise ValueError("a relative floor needs the scores of the model that it refers to, on the same prompts")
        return positive_mean(
            scores - floor.level * (reference[:, None] if reference.ndim == 1 else reference), lowest=-floor.level, alpha=alpha
        )
    if ((scores == 0) | (scores == 1)).all():
        right = scores.sum(axis=0)
        return np.array([binomial_p_value(round(float(k)), len(scores), floor.level) <= alpha for k in right], dtype=np.bool_)
    return positive_mean(scores - floor.level, lowest=-floor.level, alpha=alpha)


def walk(holds: NDArray[np.bool_], starts: int = 1) -> tuple[int, ...]:
    """The columns that fixed sequences from ``starts`` evenly spread beginnings reach, each ending at its first failure."""
    found: set[int] = set()
    for begin in {start * len(holds) // starts for start in range(starts)}:
        column = begin
        while column < len(holds) and holds[column]:
            found.add(column)
            column += 1
    return tuple(sorted(found))


def explain(scores: Floats, floor: Floor, reference: Floats | None, alpha: float) -> tuple[str, int | None]:
    """What the safest policy [:, 0] lacks to be certified at ``alpha``, and about how many labels would do; None where none would."""
    n = len(scores)
    if n == 0:
        return "there are no labels", None
    safest = scores[:, 0] - (floor.level * reference if floor.kind == "relative" and reference is not None else floor.level)
    mean = float(safest.mean())
    wanted = labels_needed(mean, float(safest.var()), 0.0, 1 - alpha)
    if wanted is None:
        return (
            f"even the safest policy looks {-mean:.1%} below the floor on {n} labels: more labels will hardly help, another model may",
            None,
        )
    wanted = max(wanted, n + 1)
    return f"{n} labels are too few for the safest policy, which looks {mean:.1%} above the floor: about {wanted} would do", wanted


def _cannot(scores: Floats, floor: Floor, reference: Floats | None) -> Certificate:
    why, wanted = explain(scores, floor, reference, 1 - floor.confidence)
    quality = float(scores[:, 0].mean()) if len(scores) else None
    return Certificate(policy=None, certified=(), labels=len(scores), quality=quality, why=why, labels_wanted=wanted)
