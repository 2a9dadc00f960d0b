"""Bar 1: what a router and a cascade save on prompts that they have not seen, beside random mixing, the best single model, the oracle,
RouteLLM's published figures, and a kNN and an MLP router on the same splits.

Every prompt is in the test part once a seed. Recipes and strengths are chosen inside the training part, by prompts left out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.curves import intervals, random_mixing, read
from benchmarks.routing.data import PRICES, Floats, Outcomes
from benchmarks.routing.rivals import ROUTELLM, knn, mlp
from penstock.routing.estimate import Recipe, fit_best
from penstock.statistics.intervals import mean_interval

RECIPES = (Recipe(), Recipe(embedding=4, kernel=20, width=1.4, beside=0.2, landmarks=512))


def folds(n: int, parts: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    part = np.random.default_rng(seed).permutation(n) % parts
    for k in range(parts):
        yield np.flatnonzero(part != k), np.flatnonzero(part == k)


def unseen(found: Outcomes, parts: int, seed: int, predict: Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]) -> Floats:
    """Chances [n, candidates], each prompt's by an estimator that was fitted without it."""
    chances = np.zeros_like(found.scores)
    for train, test in folds(len(chances), parts, seed):
        chances[test] = predict(train, test)
    return chances


def ours(found: Outcomes, features: Floats, labels: int | None = None) -> Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]:
    def predict(train: NDArray[np.int64], test: NDArray[np.int64]) -> Floats:
        train = train if labels is None else np.random.default_rng(len(train)).choice(train, labels, replace=False)
        fitted = fit_best(features[train], found.embeddings[train], found.scores[train], RECIPES)
        return fitted.estimator.chances(features[test], found.embeddings[test])

    return predict


def contestants(found: Outcomes) -> dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]]:
    x, y = found.embeddings, found.scores
    methods: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]] = {
        "kNN": lambda train, test: knn(x[train], y[train], x[test]),
        "MLP": lambda train, test: mlp(x[train], y[train], x[test]),
        "ours, router": ours(found, found.features),
    }
    if found.groups is not None:
        methods["ours, router, 1,500 labels"] = ours(found, found.features, 1500)
    if found.answers is not None:
        methods["ours, cascade"] = ours(found, np.hstack([found.features, found.answers]))
    return methods


def two(found: Outcomes, parts: int, seeds: int) -> dict[str, Any]:
    """Shares of strong calls and costs, for a weak and a strong model."""
    small, large = found.small, found.large
    rows: dict[str, Any] = {}
    for name, method in contestants(found).items():
        gains = [(c := unseen(found, parts, seed, method))[:, 1] - c[:, 0] for seed in range(seeds)]
        figures = intervals(gains, small, large)
        pays_small = 1.0 if "cascade" in name else None
        cost = {
            k: ((1 - v[0] if pays_small is None else pays_small) * PRICES[0] + v[0] * PRICES[1]) / PRICES[1]
            for k, v in figures.items()
            if k.startswith("share")
        }
        rows[name] = {"figures": figures, "cost_of_all_strong": cost}
        print(found.name, name, {k: [round(x, 3) for x in v] for k, v in figures.items()}, flush=True)
    return {
        "prompts": len(small),
        "small": float(small.mean()),
        "large": float(large.mean()),
        "random": random_mixing(small, large),
        "oracle": read(large - small, small, large),
        "routellm": ROUTELLM[found.name],
        "rows": rows,
        "bars": bars(found.name, rows),
    }


def bars(name: str, rows: dict[str, Any]) -> dict[str, Any]:
    """Against random, and against the best that RouteLLM published, both with the interval's near end."""
    published = ROUTELLM[name].values()
    best = {"cpt50": min(p["cpt50"] for p in published), "cpt80": min(p["cpt80"] for p in published)}
    best["apgr"] = max(p["apgr"] for p in published)
    verdicts: dict[str, Any] = {"best_published": best}
    for method in (m for m in rows if m.startswith("ours")):
        figures = rows[method]["figures"]
        verdicts[method] = {
            "beats_random": figures["apgr"][1] > 0.5,
            "beats_single": figures["share100"][2] < 1.0,
            "beats_published_cpt50": figures["cpt50"][0] < best["cpt50"],
            "beats_published_cpt80": figures["cpt80"][0] < best["cpt80"],
            "beats_published_apgr": figures["apgr"][0] > best["apgr"],
            "clear_of_published": [
                figures["cpt50"][2] < best["cpt50"],
                figures["cpt80"][2] < best["cpt80"],
                figures["apgr"][1] > best["apgr"],
            ],
        }
    return verdicts


def many(found: Outcomes, parts: int, seeds: int) -> dict[str, Any]:
    """The best candidate for each prompt, by quality alone: how far from the best single model to the oracle."""
    y = found.scores
    rows_of = np.arange(len(y))
    single = np.zeros((seeds, len(y)))
    for seed in range(seeds):
        for train, test in folds(len(y), parts, seed):
            single[seed, test] = y[test, int(y[train].mean(axis=0).argmax())]
    oracle, base = y.max(axis=1), single.mean(axis=0)
    rows: dict[str, Any] = {}
    for name, method in contestants(found).items():
        quality = np.mean([y[rows_of, unseen(found, parts, seed, method).argmax(axis=1)] for seed in range(seeds)], axis=0)
        low, high = mean_interval(quality - base)
        reached = float((quality.mean() - base.mean()) / (oracle.mean() - base.mean()))
        rows[name] = {"quality": float(quality.mean()), "above_single": [float((quality - base).mean()), low, high], "of_the_way": reached}
        print(found.name, name, rows[name], flush=True)
    models = dict(zip(found.candidates, (float(v) for v in y.mean(axis=0)), strict=True))
    best = max(rows["kNN"]["of_the_way"], rows["MLP"]["of_the_way"])
    return {
        "prompts": len(y),
        "models": models,
        "single": float(base.mean()),
        "oracle": float(oracle.mean()),
        "random": float(y.mean()),
        "rows": rows,
        "bars": {
            "beats_single": rows["ours, router"]["above_single"][1] > 0,
            "half_of_best_rival": rows["ours, router"]["of_the_way"] >= 0.5 * max(0.0, best),
        },
    }
