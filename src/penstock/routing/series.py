"""How often may one ask for a certificate? Attempts on one claim share its alpha; a new claim needs labels that have not certified before.

Who certifies again and again until it works will at last certify something false, unless the attempts share what may go wrong. So
attempts stand in **series**. All attempts of a series test the same claim (floor, judge, slices, candidates) with the same
fitted policies on all the labels that the series has by then, the k-th of them at ``alpha * 6 / (pi^2 k^2)``: these add up to
alpha (Basel), so by the union bound a series makes a false claim with probability alpha at most, however often it is asked, and whenever
one stops asking. The first attempt has six tenths of it.

A series ends when it has certified something, when the claim changes, or when a claim of the task is suspended. The next one fits anew, on
everything that there is, and certifies on **fresh** labels alone: those that are newer than any that certified before, and newer than the
last suspension, whoever suspended and whoever asks, for what came before was other traffic, or had a part in the suspension. So no label
certifies two claims, and what one learned from a failed attempt cannot be used to choose a claim that fits the same labels.

Attempts that nobody asks for (`penstock.kernel.tasks.Recertify`) would go on for as long as the task lives, and series after series,
each with an alpha of its own, would at last claim something false for certain. So they share one alpha with the attempt that was asked
for before them, over all series and all claims: the k-th of this **chain** tests at ``alpha * 6 / (pi^2 k^2)``, whatever came of the
others, and however often the task is declared otherwise and back. Only who asks begins a new chain, with a new series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from penstock.routing.binding import Bound, moved
from penstock.routing.policy import Policy


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What the next certification may do: test at ``alpha`` on labels after ``since`` (Unix seconds), with the fit of ``again``, if any.

    ``number`` counts the series, ``spent`` the chain.
    """

    series: int
    number: int
    alpha: float
    since: float
    again: Policy | None = None
    spent: int = 1


def share(alpha: float, attempt: int) -> float:
    """What attempt 1, 2, 3 ... may get wrong, so that all of them together get ``alpha`` wrong at most."""
    return alpha * 6 / (math.pi * attempt) ** 2


def next_attempt(
    before: Sequence[Policy],
    claim: str,
    candidates: Sequence[str],
    confidence: float,
    *,
    automatic: bool = False,
    bound: Bound | None = None,
) -> Attempt:
    """The attempt after those ``before`` it, newest first; such as are still being fitted, or failed, do not count. ``bound``
    is where the candidates lead now."""
    counted = [policy for policy in before if policy.state not in ("fitting", "failed")]
    alpha = 1 - confidence
    if not counted:
        return Attempt(series=1, number=1, alpha=share(alpha, 1), since=0.0)
    last = counted[0]
    suspended = max((one.changed_at for one in counted if one.state == "suspended"), default=0.0)
    # What was fitted to another model is no fit of this one, and what a series has seen before a suspension certifies nothing after it.
    same = last.state == "refused" and last.claim == claim and suspended <= last.since and moved(last.models, bound or {}) is None
    if same and last.frozen is not None and {*last.frozen.candidates, *last.frozen.left_out} == set(candidates):
        spent = _spent(last) + 1
        return Attempt(series=last.series, number=last.attempt + 1, alpha=share(alpha, spent), since=last.since, again=last, spent=spent)
    # Where nothing was tested, no label has certified anything yet.
    until = max(suspended, *(policy.until for policy in counted))
    spent = _spent(last) + 1 if automatic else 1
    return Attempt(series=last.series + 1, number=1, alpha=share(alpha, spent), since=until, spent=spent)


def _spent(last: Policy) -> int:
    return max(last.spent, last.attempt)
