from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.routing.calibrate import calibration_error
from penstock.routing.estimate import Estimator, Recipe, fit, fit_best

Floats = NDArray[np.float64]
SMALL = Recipe(landmarks=32)


def prompts(n: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Two candidates: the first is good at what the first feature says, the second at one half of the embedding's circle."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (n, 4)) * [1, 5, 0.1, 0]  # the last is the same for all
    angle = rng.random(n) * 2 * np.pi
    embeddings = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    chances = np.stack([1 / (1 + np.exp(-1.5 * features[:, 0])), np.where(embeddings[:, 0] > 0, 0.9, 0.2)], axis=1)
    return features, embeddings, (rng.random((n, 2)) < chances).astype(float)


def test_candidates_are_told_apart_on_prompts_never_seen() -> None:
    features, embeddings, scores = prompts(3000)
    chances = fit(features[:1500], embeddings[:1500], scores[:1500], SMALL).estimator.chances(features[1500:], embeddings[1500:])
    picked = scores[1500:][np.arange(1500), chances.argmax(axis=1)].mean()
    assert picked > scores[1500:].mean(axis=0).max() + 0.1
    for k in range(2):
        assert calibration_error(chances[:, k], scores[1500:, k]) < 0.06


def test_leaving_out_in_closed_form_is_leaving_out() -> None:
    features, embeddings, scores = prompts(40)
    recipe = Recipe(kernel=0, strengths=(30.0,))
    closed = fit(features, embeddings, scores, recipe).left_out[7]
    rest = np.arange(40) != 7
    # Standardised as the whole is, which is what the closed form leaves out.
    scale = np.where(features.std(axis=0) > 1e-9, features.std(axis=0), 1.0)
    design = np.hstack([(features - features.mean(axis=0)) / scale, embeddings * recipe.embedding])
    middle, mean = design[rest].mean(axis=0), scores[rest].mean(axis=0)
    x = design[rest] - middle
    weights = np.linalg.solve(x.T @ x + 30 * np.eye(x.shape[1]), x.T @ (scores[rest] - mean))
    assert closed == pytest.approx(mean + (design[7] - middle) @ weights, abs=0.01)


def test_one_prompt_or_many_at_once_is_the_same() -> None:
    features, embeddings, scores = prompts(300)
    estimator = fit(features, embeddings, scores, SMALL).estimator
    together = estimator.chances(features, embeddings)
    assert together.shape == (300, 2)
    assert estimator.chances(features[5], embeddings[5]) == pytest.approx(together[5], rel=1e-4)
    assert ((together > 0) & (together < 1)).all()


def test_arrays_carry_an_estimator_over() -> None:
    features, embeddings, scores = prompts(200)
    estimator = fit(features, embeddings, scores, SMALL).estimator
    again = Estimator({name: array.copy() for name, array in estimator.arrays.items()})
    assert again.candidates == 2
    assert np.array_equal(again.chances(features, embeddings), estimator.chances(features, embeddings))


def test_the_recipe_is_chosen_inside_the_evidence() -> None:
    features, embeddings, scores = prompts(800)
    blind, sighted = Recipe(embedding=0, kernel=0), Recipe(embedding=4, kernel=4, landmarks=32)
    assert fit_best(features, embeddings, scores, (blind, sighted)).error == fit(features, embeddings, scores, sighted).error


def test_one_candidate_and_graded_scores() -> None:
    features, embeddings, scores = prompts(200)
    fitted = fit(features, embeddings, scores.mean(axis=1, keepdims=True), SMALL)
    assert fitted.left_out.shape == fitted.chances.shape == (200, 1)


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        fit(*prompts(19))


def test_one_prompt_is_estimated_as_among_many() -> None:
    rng = np.random.default_rng(3)
    features, vectors = rng.normal(size=(60, 9)) * 4, rng.normal(size=(60, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    estimator = fit(features, vectors, rng.random((60, 3)).round()).estimator
    features[::9] *= 40  # far out
    many = estimator.chances(features, vectors)
    for row in range(60):
        assert np.allclose(estimator.of_one(features[row].tolist(), vectors[row].astype(np.float32).tobytes()), many[row], atol=3e-6)


def test_one_prompt_without_a_kernel() -> None:
    features, embeddings, scores = prompts(100)
    estimator = fit(features, embeddings, scores, Recipe(kernel=0)).estimator
    one = estimator.of_one(features[3].tolist(), embeddings[3].astype(np.float32).tobytes())
    assert np.allclose(one, estimator.chances(features[3], embeddings[3]), atol=3e-6)


def test_one_prompt_that_is_hopeless_or_not_a_number_for_a_candidate() -> None:
    features, embeddings, scores = prompts(100)
    arrays = fit(features, embeddings, scores, SMALL).estimator.arrays
    row, vector = features[3].tolist(), embeddings[3].astype(np.float32).tobytes()
    hopeless = Estimator({**arrays, "shift": np.array([-1e6, 1e6])}).of_one(row, vector)
    assert hopeless == [0.0, 1.0]
    assert all(math.isnan(chance) for chance in Estimator({**arrays, "mean": np.full(2, np.nan)}).of_one(row, vector))


def test_fewer_prompts_than_inputs_are_fitted_as_the_formula_says() -> None:
    rng = np.random.default_rng(5)
    features, vectors, scores = rng.normal(size=(60, 8)), rng.normal(size=(60, 90)), rng.random((60, 3)).round()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = fit(features, vectors, scores, Recipe(kernel=0, strengths=(7.0,)))
    design = np.hstack([(features - features.mean(axis=0)) / features.std(axis=0), vectors * Recipe().embedding])
    design -= design.mean(axis=0)
    solved = np.linalg.solve(design.T @ design + 7.0 * np.eye(98), design.T @ (scores - scores.mean(axis=0)))
    assert np.allclose(found.estimator.arrays["weights"], solved, atol=1e-9)
    for row in (0, 31):  # left out, by leaving it out
        others = np.arange(60) != row
        middle = scores[others].mean(axis=0)
        apart = design[others] - design[others].mean(axis=0)
        weights = np.linalg.solve(apart.T @ apart + 7.0 * np.eye(98), apart.T @ (scores[others] - middle))
        assert np.allclose(found.left_out[row], middle + (design[row] - design[others].mean(axis=0)) @ weights, atol=1e-9)
