"""What an estimate costs a call: CPU time for 20 candidates, without the embedding, which is measured by `benchmarks.embeddings`."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.routing.data import Outcomes
from penstock.routing.choice import pick
from penstock.routing.estimate import Recipe, fit
from penstock.routing.features import prompt_features

CANDIDATES = 20


def microseconds(found: Outcomes, prompts: list[str], recipes: tuple[Recipe, ...]) -> dict[str, float]:
    """Medians over prompts of a call's CPU microseconds: the features, and for each recipe estimate and choice."""
    scores = np.random.default_rng(0).random((len(found.scores), CANDIDATES)).round()
    costs = np.arange(1.0, CANDIDATES + 1)
    measured: dict[str, list[float]] = {"features": []}
    for text in prompts * 3:
        began = time.thread_time_ns()
        prompt_features(text)
        measured["features"].append((time.thread_time_ns() - began) / 1e3)
    for recipe in recipes:
        estimator = fit(found.features, found.embeddings, scores, recipe).estimator
        times = measured[f"estimate and choice, {recipe.landmarks} landmarks"] = []
        for row in [*range(len(prompts))] * 3:
            began = time.thread_time_ns()
            pick(estimator.chances(found.features[row], found.embeddings[row]), costs, 50.0)
            times.append((time.thread_time_ns() - began) / 1e3)
    return {name: statistics.median(times) for name, times in measured.items()}
