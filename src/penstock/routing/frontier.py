"""Cost against quality: every candidate, the router's and the cascade's whole dials, and what serves now, with intervals.

For looking at. Nothing is certified by it: a point above the floor's line may be there by luck, which is what certificates are about.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from penstock.routing.evidence import Material
from penstock.routing.fitting import cascade_scores, router_scores, settled_on
from penstock.routing.labels import draw
from penstock.routing.policy import Frozen, Policy, floor_in_words
from penstock.routing.proving import interval
from penstock.routing.settings import RoutingSettings
from penstock.routing.views import Frontier, Point
from penstock.statistics.intervals import mean_interval

Floats: TypeAlias = NDArray[np.float64]
SHOWN = 12
"""Points of a dial that are told."""


def frontier(material: Material, policy: Policy | None, settings: RoutingSettings) -> Frontier:
    """Dials are judged on labels that their fit has not seen. ``policy`` is the one that serves, None when the default does."""
    labels, task, vectors = material.labels, material.task, material.vectors
    fits = np.array([draw(prompt, "split") < settings.fit_share for prompt in labels.prompts], dtype=np.bool_)
    settled = settled_on(material, fits, cascades=True, least=settings.least_labels)
    points = [_candidate(material, policy, k, name) for k, name in enumerate(labels.candidates)] if len(labels) else []
    rest = labels.part(~fits)
    notes = [material.unembedded] if material.unembedded else []
    if vectors is not None and len(rest):
        beside = vectors[~fits]
        if "router" in settled.estimators:
            scores, costs = router_scores(settled.estimators["router"], settled.frozen, rest, beside)
            points += _dial("the router", "router", scores, costs, settled.frozen.worths, settled.frozen)
        if "cascade" in settled.estimators and settled.frozen.pair is not None:
            scores, costs = cascade_scores(settled.estimators["cascade"], settled.frozen, rest, beside)
            name = f"{settled.frozen.pair[0]} before {settled.frozen.pair[1]}"
            points += _dial(name, "cascade", scores, costs, settled.frozen.thresholds, settled.frozen)
    if len(labels) and not settled.estimators and not notes:
        notes.append(
            f"{int(fits.sum())} labels are too few to estimate by prompt; {settings.least_labels} on each side of the split are needed"
        )
    if policy is not None and policy.kind is not None and policy.cost is not None and policy.quality is not None:
        points.append(_serving(policy))
    strong = float(labels.scores[:, labels.candidates.index(material.reference)].mean()) if len(labels) else 1.0
    return Frontier(
        task=task.name,
        floor=floor_in_words(material.floor, task.default),
        line=material.floor.level * (strong if material.floor.kind == "relative" else 1.0),
        labels=len(labels),
        fitted_on=settled.labels,
        points=points,
        policy=policy.id if policy is not None else None,
        left_out=material.left_out,
        notes=notes,
    )


def _candidate(material: Material, policy: Policy | None, k: int, name: str) -> Point:
    labels, cost = material.labels, material.costs[k]
    low, high = interval(labels.scores[:, k])
    paid = np.array([o.cost for o in material.outcomes if o.candidate == name and o.cost is not None], dtype=np.float64)
    cost_low, cost_high = mean_interval(paid, draws=300) if len(paid) > 1 else (cost, cost)
    return Point(
        name=name,
        kind="candidate",
        cost=cost,
        cost_low=cost_low,
        cost_high=cost_high,
        quality=float(labels.scores[:, k].mean()),
        low=low,
        high=high,
        labels=len(labels),
        certified=policy is not None and name in policy.singles,
        serving=name == material.task.default if policy is None else policy.kind == "single" and policy.chosen == name,
    )


def _dial(
    name: str, kind: Literal["router", "cascade"], scores: Floats, costs: Floats, dials: tuple[float, ...], frozen: Frozen
) -> list[Point]:
    many = len(dials)
    columns: list[int] = sorted({round(k * (many - 1) / max(1, min(SHOWN, many) - 1)) for k in range(min(SHOWN, many))})
    found: list[Point] = []
    for column in columns:
        low, high = interval(scores[:, column])
        # How much of the cost is chance: the share of calls to each candidate, which is what differs from sample to sample.
        half = 1.96 * (max(frozen.costs) - min(frozen.costs)) / 2 / max(1.0, math.sqrt(len(scores)))
        cost = float(costs[column])
        found.append(
            Point(
                name=name,
                kind=kind,
                cost=cost,
                cost_low=max(0.0, cost - half),
                cost_high=cost + half,
                quality=float(scores[:, column].mean()),
                low=low,
                high=high,
                labels=len(scores),
                dial=float(dials[column]),
            )
        )
    return found


def _serving(policy: Policy) -> Point:
    assert policy.cost is not None
    assert policy.quality is not None
    low = policy.bound if policy.bound is not None else policy.quality
    names = {"single": policy.chosen or "", "router": "the router", "cascade": f"{policy.chosen} before {policy.next}"}
    kind: Literal["candidate", "router", "cascade"] = "candidate" if policy.kind in ("single", None) else policy.kind
    half = 1.96 * (max(policy.costs) - min(policy.costs)) / 2 / max(1.0, math.sqrt(policy.labels)) if kind != "candidate" else 0.0
    return Point(
        name=f"{names[policy.kind or 'single']} (policy {policy.number})",
        kind=kind,
        cost=policy.cost,
        cost_low=max(0.0, policy.cost - half),
        cost_high=policy.cost + half,
        quality=policy.quality,
        low=low,
        high=min(1.0, 2 * policy.quality - low),
        labels=policy.labels,
        dial=policy.worth if policy.kind == "router" else policy.threshold if policy.kind == "cascade" else None,
        certified=True,
        serving=True,
    )
