"""Bar 2, first half: of what was certified, how much is false? Beside it, a threshold that was merely read off the labels.

The estimator is fitted on one part of the prompts; of the rest, labels are drawn and a policy is certified on them. Whether its floor
holds is then read off the whole rest: that is the traffic which the claim is about. 500 draws: 10 fits, 50 draws of labels from each.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from benchmarks.routing.data import PRICES, Outcomes
from penstock.routing.cascade import Prices, gains, path, thresholds
from penstock.routing.certify import Floor, rejected, walk
from penstock.routing.estimate import Recipe, fit
from penstock.statistics.bounds import clopper_pearson


class Case(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    cascade: bool
    floor: Floor
    fitted_on: int
    labels: int
    starts: int = 1


def cases() -> dict[str, tuple[Case, ...]]:
    relative = Floor(level=0.95)
    return {
        "GSM8K": (
            Case(name="cascade, 95 % of the strong model", cascade=True, floor=relative, fitted_on=500, labels=300),
            Case(name="router, 95 % of the strong model", cascade=False, floor=relative, fitted_on=500, labels=300),
            Case(name="cascade, 84 % right", cascade=True, floor=Floor(level=0.84, kind="absolute"), fitted_on=500, labels=300),
        ),
        "MMLU": (
            Case(name="router, 95 % of the strong model", cascade=False, floor=relative, fitted_on=3000, labels=1000),
            Case(name="the same, four starts", cascade=False, floor=relative, fitted_on=3000, labels=1000, starts=4),
            Case(name="router, 98 % of the strong model", cascade=False, floor=Floor(level=0.98), fitted_on=3000, labels=1000),
            Case(name="router, 78 % right", cascade=False, floor=Floor(level=0.78, kind="absolute"), fitted_on=3000, labels=1000),
        ),
    }


def run(found: Outcomes, fits: int, draws: int) -> dict[str, Any]:
    return {case.name: resplit(found, case, fits, draws) for case in cases()[found.name]}


def resplit(found: Outcomes, case: Case, fits: int, draws: int) -> dict[str, Any]:
    features = np.hstack([found.features, found.answers]) if case.cascade and found.answers is not None else found.features
    n = len(features)
    prices = Prices(small=PRICES[0], large=PRICES[1])
    violated = plugged = cannot = 0
    costs: list[float] = []
    plug_costs: list[float] = []
    worst = 0.0
    for number in range(fits):
        rng = np.random.default_rng([number, n])
        order = rng.permutation(n)
        train, pool = order[: case.fitted_on], order[case.fitted_on :]
        fitted = fit(features[train], found.embeddings[train], found.scores[train], Recipe(embedding=4, kernel=0))
        at = thresholds(fitted.chances[:, 1] - fitted.chances[:, 0])
        gained = gains(fitted.estimator, features[pool], found.embeddings[pool])
        whole = path(gained, found.small[pool], found.large[pool], at, prices, cascade=case.cascade)
        truth = whole.scores.mean(axis=0)
        reference = float(found.large[pool].mean()) if case.floor.kind == "relative" else 1.0
        k = len(at)
        drawn = np.stack([rng.permutation(len(pool))[: case.labels] for _ in range(draws)], axis=1)  # [labels, draws]
        scores = whole.scores[drawn].reshape(case.labels, draws * k)
        large = np.repeat(found.large[pool][drawn], k, axis=1)
        # All draws at once: `certify` asks the same of one.
        held = rejected(scores, case.floor, large, (1 - case.floor.confidence) / case.starts).reshape(draws, k)
        needed = case.floor.level * (large.mean(axis=0) if case.floor.kind == "relative" else np.ones(draws * k))
        looks = (scores.mean(axis=0) >= needed).reshape(draws, k)
        for draw in range(draws):
            certified = list(walk(held[draw], case.starts))
            if certified:
                off = case.floor.level * reference - truth[certified[int(np.argmin(whole.costs[certified]))]]
                violated += int(off > 0)
                costs.append(float(whole.costs[certified].min()) / prices.large)
                worst = max(worst, float(off))
            else:
                cannot += 1
            plausible = np.flatnonzero(looks[draw])
            cheapest = plausible[np.argmin(whole.costs[plausible])] if plausible.size else 0
            plugged += int(truth[cheapest] < case.floor.level * reference)
            plug_costs.append(float(whole.costs[cheapest]) / prices.large)
    total = fits * draws
    return {
        "resplits": total,
        "labels": case.labels,
        "violated": violated / total,
        "violated_interval": clopper_pearson(violated, total),
        "cannot_certify": cannot / total,
        "plug_in_violated": plugged / total,
        "cost": float(np.mean(costs)) if costs else None,
        "plug_in_cost": float(np.mean(plug_costs)),
        "worst_shortfall": worst,
    }
