"""Two models and one dial: send a prompt to the large model when it promises to gain by that, before or after the small one has answered.

Before is a *router*: the gain is estimated from the prompt, and a prompt costs one call. After is a *cascade*: the small model has
answered and is paid for, its answer is looked at too (`penstock.routing.answers`), and an escalation costs both calls. Either is a path
of policies from "always large" to "always small", which `penstock.routing.certify` walks.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.routing.certify import Certificate, Floor, certify
from penstock.routing.estimate import Estimator

Floats: TypeAlias = NDArray[np.float64]

SMALL, LARGE = 0, 1
"""The columns of the two candidates in an estimator that was fitted on [small, large]."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a call to each costs on average, in any one unit."""

    small: float
    large: float


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """Policies from the safest to the cheapest: ``scores`` [n, k] and ``shares`` of escalated calls and ``costs`` a call, both [k]."""

    thresholds: Floats
    scores: Floats
    shares: Floats
    costs: Floats


class Cascade(msgspec.Struct, frozen=True, kw_only=True):
    """What serves: escalate when the estimated gain exceeds the certified threshold."""

    estimator: Estimator
    threshold: float
    certificate: Certificate

    def escalate(self, features: Floats, embedding: Floats) -> bool:
        """For a router, the prompt's features; for a cascade, the prompt's and its answer's, one after the other."""
        return bool(gains(self.estimator, features, embedding) > self.threshold)


def gains(estimator: Estimator, features: Floats, embedding: Floats) -> Floats:
    """By how much the large model's chance exceeds the small one's."""
    chances = estimator.chances(features, embedding)
    return chances[..., LARGE] - chances[..., SMALL]


def thresholds(gained: Floats, steps: int = 25) -> Floats:
    """From "always large" (-inf) to "always small" (inf) in steps of about equal shares of the gains in ``gained``.

    Take gains of prompts left out of the fit (`Fitted.chances`), never those of the labels that certify.
    """
    inner = np.quantile(gained, np.linspace(0, 1, steps + 1)[1:-1])
    return np.concatenate([[-np.inf], np.unique(inner), [np.inf]])


def path(gained: Floats, small: Floats, large: Floats, at: Floats, prices: Prices, *, cascade: bool) -> Path:
    """What each threshold in ``at`` [k] would have done on prompts with scores ``small`` and ``large`` [n].

    A cascade pays the small model on every call, except where everything goes to the large one anyway.
    """
    escalated = gained[:, None] > at[None, :]
    shares = escalated.sum(axis=0) / max(1, len(escalated))
    pays_small = np.where(at == -np.inf, 0.0, 1.0) if cascade else 1 - shares
    return Path(
        thresholds=at,
        scores=np.where(escalated, large[:, None], small[:, None]),
        shares=shares,
        costs=pays_small * prices.small + shares * prices.large,
    )


def certified(estimator: Estimator, found: Path, floor: Floor, large: Floats, *, starts: int = 1) -> Cascade | Certificate:
    """The cheapest threshold of ``found`` whose floor holds, ready to serve; or the certificate that says what is missing."""
    certificate = certify(found.scores, found.costs, floor, reference=large, starts=starts)
    if certificate.policy is None:
        return certificate
    return Cascade(estimator=estimator, threshold=float(found.thresholds[certificate.policy]), certificate=certificate)
