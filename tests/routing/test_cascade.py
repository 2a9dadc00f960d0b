from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.routing.cascade import Cascade, Prices, certified, gains, path, thresholds
from penstock.routing.certify import Certificate, Floor
from penstock.routing.estimate import Recipe, fit

PRICES = Prices(small=1.0, large=100.0)


def outcomes(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (n, 3))
    small = (rng.random(n) < 1 / (1 + np.exp(-0.7 - 1.8 * features[:, 0]))).astype(float)
    large = (rng.random(n) < 0.88).astype(float)
    return features, np.ones((n, 1)), np.stack([small, large], axis=1)


def test_a_path_runs_from_always_large_to_always_small() -> None:
    small, large = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
    at = np.array([-np.inf, 0.1, np.inf])
    router = path(np.array([0.0, 0.3, 0.2]), small, large, at, PRICES, cascade=False)
    assert router.shares.tolist() == [1.0, 2 / 3, 0.0]
    assert router.scores.T.tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert router.costs == pytest.approx([100, 67, 1])
    asked_first = path(np.array([0.0, 0.3, 0.2]), small, large, at, PRICES, cascade=True)
    assert asked_first.costs == pytest.approx([100, 1 + 200 / 3, 1])


def test_a_certified_cascade_serves_and_saves() -> None:
    features, embeddings, scores = outcomes(3000)
    fitted = fit(features[:1000], embeddings[:1000], scores[:1000], Recipe(kernel=0))
    at = thresholds(fitted.chances[:, 1] - fitted.chances[:, 0])
    assert at[0] == -np.inf
    assert at[-1] == np.inf
    labels = slice(1000, 2000)
    gained = gains(fitted.estimator, features[labels], embeddings[labels])
    found = path(gained, scores[labels, 0], scores[labels, 1], at, PRICES, cascade=True)
    cascade = certified(fitted.estimator, found, Floor(level=0.95), scores[labels, 1])
    assert isinstance(cascade, Cascade)
    fresh = slice(2000, 3000)
    escalated = gains(fitted.estimator, features[fresh], embeddings[fresh]) > cascade.threshold
    assert escalated.mean() < 0.6
    quality = np.where(escalated, scores[fresh, 1], scores[fresh, 0]).mean()
    assert quality > 0.95 * scores[fresh, 1].mean() - 0.02
    assert cascade.escalate(features[2000], embeddings[2000]) == escalated[0]


def test_without_labels_there_is_no_cascade() -> None:
    features, embeddings, scores = outcomes(100)
    estimator = fit(features, embeddings, scores, Recipe(kernel=0)).estimator
    empty = path(np.zeros(0), np.zeros(0), np.zeros(0), np.array([-np.inf, np.inf]), PRICES, cascade=True)
    found = certified(estimator, empty, Floor(level=0.95), np.zeros(0))
    assert isinstance(found, Certificate)
    assert found.why == "there are no labels"
