"""The fit: estimates of success and the paths of policies to test, from labels that will certify nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.kernel.tasks import Floor
from penstock.routing.answers import ANSWER_FEATURES, answer_features
from penstock.routing.arrays import Fit
from penstock.routing.cascade import Prices, gains, path, thresholds
from penstock.routing.choice import pick
from penstock.routing.estimate import Estimator, Fitted, Recipe, fit, fit_best
from penstock.routing.evidence import Material
from penstock.routing.features import PROMPT_FEATURES, prompt_features
from penstock.routing.labels import Labels
from penstock.routing.policy import Frozen

Floats: TypeAlias = NDArray[np.float64]

RECIPES = (Recipe(), Recipe(embedding=0.0, kernel=0.0))
"""Embedding and features, or features alone, whichever predicts prompts better that were left out."""
STEPS = 25
KNOWN, POINTS, SCORES = 600, 1000, 2000
"""Embeddings of the evidence that monitors keep, for distances, for directions, and how many distances."""
NEAREST = 5
BEYOND = 2.0
"""A threshold that no gain exceeds, nor falls short of, the other way about; JSON has no word for infinity."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a fit has settled: the paths, and the estimators behind them."""

    frozen: Frozen
    estimators: Mapping[str, Estimator]
    labels: int


def settle(
    labels: Labels,
    vectors: Floats | None,
    costs: Sequence[float],
    floor: Floor,
    reference: str,
    *,
    cascades: bool,
    least: int,
    left_out: dict[str, str],
) -> Settled:
    """Fit on ``labels``. ``costs`` are micro-dollars a call by candidate; ``vectors`` [n, d] the prompts' embeddings, if any.

    With fewer than ``least`` labels nothing is estimated by prompt; with none, candidates stand in the order of their prices.
    """
    names = labels.candidates
    known = labels.scores.mean(axis=0) if len(labels) else np.array(costs)
    # The reference first: it is what the floor refers to, or the task's default, and so the safest that there is.
    order = sorted(range(len(names)), key=lambda k: (names[k] != reference, -float(known[k]), -costs[k]))
    frozen = Frozen(candidates=names, costs=tuple(costs), singles=tuple(names[k] for k in order), left_out=left_out)
    estimators: dict[str, Estimator] = {}
    if vectors is None or len(labels) < least or len(names) < 2:
        return Settled(frozen=frozen, estimators=estimators, labels=len(labels))
    features = features_of(labels)
    fitted = fit_best(features, vectors, labels.scores, RECIPES)
    estimators["router"] = fitted.estimator
    frozen = msgspec.structs.replace(frozen, worths=_worths(fitted.chances, np.array(costs)))
    if cascades:
        found = _cascade(labels, features, vectors, costs, floor, names.index(reference))
        if found is not None:
            pair, at, estimator = found
            estimators["cascade"] = estimator
            frozen = msgspec.structs.replace(frozen, pair=pair, thresholds=at)
    return Settled(frozen=frozen, estimators=estimators, labels=len(labels))


def settled_on(material: Material, fits: NDArray[np.bool_], *, cascades: bool, least: int) -> Settled:
    """What is fitted on those labels of ``material`` that ``fits`` [n] marks; see `settle`."""
    return settle(
        material.labels.part(fits),
        material.vectors[fits] if material.vectors is not None else None,
        material.costs,
        material.floor,
        material.reference,
        cascades=cascades,
        least=least,
        left_out=material.left_out,
    )


def features_of(labels: Labels) -> Floats:
    """The features of the prompts [n, f]."""
    return np.array([prompt_features(text) for text in labels.prompts]).reshape(len(labels), len(PROMPT_FEATURES))


def with_answers(labels: Labels, features: Floats, small: str) -> Floats:
    """The features of the prompts, and of the small model's answers to them, one after the other."""
    answers = [answer_features(prompt, answer) for prompt, answer in zip(labels.prompts, labels.answers[small], strict=True)]
    return np.concatenate([features, np.array(answers).reshape(len(labels), len(ANSWER_FEATURES))], axis=1)


def watched(vectors: Floats, fitted: NDArray[np.bool_], estimators: Mapping[str, Estimator]) -> Fit:
    """What monitors hold calls against: distances and points are of prompts that are not among the ``known``."""
    rows = np.flatnonzero(fitted)
    known = vectors[rows if len(rows) else np.arange(len(vectors))][:KNOWN]
    rest = vectors[~fitted] if len(rows) else vectors[KNOWN:]
    half = len(rest) // 2
    return Fit(
        estimators=estimators, known=known, scores=distances(known, rest[:half][:SCORES]), points=rest[half:][:POINTS].astype(np.float64)
    )


def distances(known: NDArray[Any], points: NDArray[Any]) -> Floats:
    """How far the nearest known prompts are, by cosine [n]."""
    if not len(known) or not len(points):
        return np.zeros(0)
    near = points @ known.T
    nearest = min(NEAREST, len(known))
    return -np.partition(near, -nearest, axis=1)[:, -nearest:].mean(axis=1)


def _worths(chances: Floats, costs: Floats) -> tuple[float, ...]:
    """Dials at which the router's picks change for about equal shares of the prompts, most generous first."""
    turns: list[float] = []
    for a in range(len(costs)):
        for b in range(len(costs)):
            if costs[a] > costs[b]:
                gain = chances[:, a] - chances[:, b]
                turns += ((costs[a] - costs[b]) / gain[gain > 1e-9]).tolist()
    if not turns:
        return (0.0,)
    inner = np.unique(np.quantile(np.array(turns), np.linspace(1, 0, STEPS + 1)))[::-1]
    return (float(inner[0]) * 1e3, *(float(x) for x in inner), 0.0)


def _cascade(
    labels: Labels, features: Floats, vectors: Floats, costs: Sequence[float], floor: Floor, large: int
) -> tuple[tuple[str, str], tuple[float, ...], Estimator] | None:
    """The cascade that looks cheapest at the floor, judged by prompts left out of its own fit."""
    best: tuple[float, tuple[str, str], tuple[float, ...], Estimator] | None = None
    strong = labels.scores[:, large]
    for small, name in enumerate(labels.candidates):
        if costs[small] >= costs[large] or not any(labels.answers[name]):
            continue
        fitted: Fitted = fit(with_answers(labels, features, name), vectors, labels.scores[:, [small, large]], RECIPES[0])
        gained = fitted.chances[:, 1] - fitted.chances[:, 0]
        at = thresholds(gained, STEPS)
        found = path(gained, labels.scores[:, small], strong, at, Prices(small=costs[small], large=costs[large]), cascade=True)
        means = found.scores.mean(axis=0)
        wanted = floor.level * float(strong.mean()) if floor.kind == "relative" else floor.level
        good = means >= wanted
        cost = float(found.costs[good].min()) if good.any() else float("inf")
        if best is None or cost < best[0]:
            best = (cost, (name, labels.candidates[large]), tuple(float(x) for x in np.clip(at, -BEYOND, BEYOND)), fitted.estimator)
    return best[1:] if best is not None else None


def router_scores(estimator: Estimator, frozen: Frozen, labels: Labels, vectors: Floats) -> tuple[Floats, Floats]:
    """What each of the router's dials would have scored [n, dials], and what it costs a call [dials]."""
    chances, costs, rows = estimator.chances(features_of(labels), vectors), np.array(frozen.costs), np.arange(len(labels))
    picked = np.stack([pick(chances, costs, worth) for worth in frozen.worths], axis=1)
    return labels.scores[rows[:, None], picked], costs[picked].mean(axis=0) if len(labels) else np.zeros(len(frozen.worths))


def cascade_scores(estimator: Estimator, frozen: Frozen, labels: Labels, vectors: Floats) -> tuple[Floats, Floats]:
    """What each of the cascade's thresholds would have scored [n, thresholds], and what it costs a call [thresholds]."""
    assert frozen.pair is not None
    small, large = (frozen.candidates.index(name) for name in frozen.pair)
    gained = gains(estimator, with_answers(labels, features_of(labels), frozen.pair[0]), vectors)
    prices = Prices(small=frozen.costs[small], large=frozen.costs[large])
    found = path(gained, labels.scores[:, small], labels.scores[:, large], np.array(frozen.thresholds), prices, cascade=True)
    return found.scores, found.costs
