"""How likely each candidate is to answer a prompt well, from its features and its embedding: one small matrix for all candidates.

A ridge regression of the scores on standardised features, the embedding, and a Gaussian kernel to some prompts of the evidence (the
*landmarks*: Nyström's approximation, Williams and Seeger 2001), so that near prompts lend each other their outcomes, as in kNN, and far
ones do not. Ridge has a closed form for all candidates at once and for the predictions with each prompt left out (Allen 1974), which
choose its strength and feed the calibration. A prompt's estimate is two products of a vector and a matrix.

How hard a prompt is for everybody and how much better one candidate does on it than the others are learned apart, each with a strength of
its own: the second is the fainter signal and the one that a choice hangs on.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from operator import mul, sub
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.routing.calibrate import Calibration, platt

Floats: TypeAlias = NDArray[np.float64]

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How an estimator is made. The weights say how much a group of inputs counts beside the features, each of variance 1.

    ``embedding`` and ``kernel`` are weights, 0 leaves the group out. The kernel compares embeddings with the features beside them, each
    weighed by ``beside``, and falls to 1/e at a distance of ``width``; ``landmarks``: how many prompts of the evidence it looks at.
    """

    embedding: float = 8.0
    kernel: float = 6.0
    width: float = 1.3
    beside: float = 0.1
    landmarks: int = 256
    strengths: tuple[float, ...] = STRENGTHS
    seed: int = 0


class Estimator:
    """Made by `fit`. Immutable and safe to share between threads; ``arrays`` carry it to disk and back.

    The large products are in single precision, which halves their time and changes no chance by more than a few millionths.
    """

    def __init__(self, arrays: dict[str, Floats]) -> None:
        self.arrays = arrays
        embedding, kernel, self._width, self._beside = (float(x) for x in arrays["recipe"])
        centre, scale, weights, landmarks = arrays["centre"], arrays["scale"], arrays["weights"], arrays["landmarks"]
        features = centre.size
        wide = landmarks.shape[1] - features
        # Features and embedding enter linearly, so their scaling is folded into the weights once.
        of_features = weights[:features] / scale[:, None]
        linear = np.vstack([of_features, weights[features : features + wide] * embedding])
        self._centre, self._scale = centre, scale
        self._linear = linear.astype(np.float32)
        self._landmarks = landmarks.astype(np.float32)
        self._lengths = (landmarks**2).sum(axis=1).astype(np.float32)
        self._of_kernel = (weights[features + wide :] * kernel).astype(np.float32)
        self._constant = arrays["mean"] - centre @ of_features
        self._slope, self._shift = arrays["slope"], arrays["shift"]
        self._one: _One | None = None

    @property
    def candidates(self) -> int:
        return int(self._constant.size)

    def raw(self, features: Floats, embedding: Floats) -> Floats:
        """The regression's own scores [..., candidates] for ``features`` [..., f] and ``embedding`` [..., d] of length 1."""
        found = np.concatenate([features, embedding], axis=-1).astype(np.float32) @ self._linear
        if len(self._landmarks):
            beside = _beside((features - self._centre) / self._scale, embedding, self._beside).astype(np.float32)
            found = found + _near(beside, self._landmarks, self._lengths, self._width) @ self._of_kernel
        return found + self._constant

    def of_one(self, features: Sequence[float], vector: bytes) -> list[float]:
        """`chances` of one prompt, in a third of the time; ``vector`` is its embedding in float32, of length 1. The first makes ready."""
        one = self._one
        if one is None:
            one = self._one = _One(self.arrays)
        return one.chances(features, vector)

    def chances(self, features: Floats, embedding: Floats) -> Floats:
        """Calibrated chances of success [..., candidates], each between 0 and 1."""
        return 1 / (1 + np.exp(-(self.raw(features, embedding) * self._slope + self._shift)))


class _One:
    """An estimator laid out for one prompt at a time: everything that is constant is folded into one matrix, which is read once.

    It is multiplied with the standardised features, these again without their outliers, the square of the latter's distance to nothing
    (that of an embedding is 1), 1, and the embedding. Its first rows give the exponents of the kernel, the others what is linear, on the
    scale of the calibration. A second, small matrix adds both up. Whatever is as short as the features is reckoned without numpy: beside
    everything else that a call does, each of its steps costs several microseconds on so little.
    """

    __slots__ = ("_centre", "_inverse", "_near", "_pack", "_rows", "_squared", "_together")

    def __init__(self, arrays: dict[str, Floats]) -> None:
        embedding, kernel, width, beside = (float(x) for x in arrays["recipe"])
        landmarks, weights, slope = arrays["landmarks"], arrays["weights"], arrays["slope"]
        known = arrays["centre"].size
        both = landmarks.shape[1]
        near, near_2, twice = len(landmarks), -1 / (width * width), 2 * known
        rows = np.zeros((near + slope.size, known + both + 2))
        exponents, linear = rows[:near], rows[near:]
        exponents[:, known:twice] = landmarks[:, :known] * (-2 * near_2 * beside)
        exponents[:, twice] = near_2
        exponents[:, twice + 1] = ((landmarks**2).sum(axis=1) + 1) * near_2
        exponents[:, twice + 2 :] = landmarks[:, known:] * (-2 * near_2)
        linear[:, :known] = weights[:known].T
        linear[:, twice + 1] = arrays["mean"]
        linear[:, twice + 2 :] = weights[known:both].T * embedding
        linear *= slope[:, None]
        linear[:, twice + 1] += arrays["shift"]
        # The calibrated chance is 1 / (1 + exp(-score)): negative scores save a step.
        linear *= -1
        self._rows = rows.astype(np.float32)
        self._together = np.hstack([weights[both:].T * (-kernel * slope[:, None]), np.eye(slope.size)]).astype(np.float32)
        self._near = near
        self._centre, self._inverse = tuple(arrays["centre"].tolist()), tuple((1 / arrays["scale"]).tolist())
        self._squared = beside * beside
        self._pack = struct.Struct(f"{twice + 2}f").pack

    def chances(self, features: Sequence[float], vector: bytes) -> list[float]:
        """See `Estimator.of_one`."""
        standard = list(map(mul, map(sub, features, self._centre), self._inverse))
        within = [x if -3.0 < x < 3.0 else math.copysign(3.0, x) for x in standard]
        seen = np.frombuffer(self._pack(*standard, *within, math.hypot(*within) ** 2 * self._squared, 1.0) + vector, np.float32)
        found = self._rows.dot(seen)
        # No exponent is above 0 but for the last digits of single precision, so none is held back.
        near = found[: self._near]
        np.exp(near, near)
        # Beyond 80 a chance is 0 to every digit that anybody sees; math.exp overflows at 709.
        return [0.0 if score >= 80 else 1 / (1 + math.exp(score)) for score in self._together.dot(found).tolist()]


def _beside(standard: Floats, embeddings: Floats, weight: float) -> Floats:
    # Features far out (a prompt ten times as long as any) would be far from every landmark, and be told nothing.
    return np.concatenate([np.clip(standard, -3, 3) * weight, embeddings], axis=-1)


def _near(points: NDArray[Any], landmarks: NDArray[Any], lengths: NDArray[Any], width: float) -> NDArray[Any]:
    distance = (points * points).sum(axis=-1)[..., None] + lengths - 2 * (points @ landmarks.T)
    return np.exp(np.maximum(distance, 0) / (-width * width))


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """An estimator and what it says of each prompt of its own evidence when that prompt is left out: ``left_out`` [n, candidates], raw,
    and ``chances``, calibrated.

    ``strengths``: chosen for the difficulty of prompts, and for the candidates' advantages. ``error``: the mean square of what is left.
    """

    estimator: Estimator
    left_out: Floats
    chances: Floats
    strengths: tuple[float, ...]
    error: float


def fit(features: Floats, embeddings: Floats, scores: Floats, recipe: Recipe | None = None) -> Fitted:
    """From prompts [n, f], their embeddings [n, d] and how each candidate did on them [n, candidates], 0 to 1.

    Raises ValueError below 20 prompts.
    """
    recipe = recipe or Recipe()
    n = len(scores)
    if n < 20:
        raise ValueError(f"{n} prompts are too few to estimate anything from; 20 are the least")
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.choice(n, size=min(n, recipe.landmarks), replace=False) if recipe.kernel else np.zeros(0, dtype=np.int64)
    standard = (features - centre) / scale
    beside = _beside(standard, embeddings, recipe.beside)
    landmarks = beside[chosen]
    near = _near(beside, landmarks, (landmarks**2).sum(axis=1), recipe.width)
    design = np.hstack([standard, embeddings * recipe.embedding, near * recipe.kernel])
    middle = design.mean(axis=0)
    design -= middle
    targets = _apart(scores)
    mean = targets.mean(axis=0)
    values, vectors, turned = _turned(design)
    against = turned.T @ (targets - mean)
    squared = turned * turned
    best = np.full(targets.shape[1], np.inf)
    weights = np.zeros((design.shape[1], targets.shape[1]))
    left_out = np.zeros_like(targets)
    picked = np.zeros(targets.shape[1])
    for strength in recipe.strengths:
        shrunk = 1 / (np.maximum(values, 0) + strength)
        predicted = turned @ (against * shrunk[:, None])
        leverage = np.minimum(squared @ shrunk + 1 / n, 0.999)
        residual = (targets - mean - predicted) / (1 - leverage)[:, None]
        error = (residual * residual).mean(axis=0)
        error[1:] = error[1:].sum()  # one strength for all advantages, so that they still add up to nothing
        better = error < best
        best = np.where(better, error, best)
        picked = np.where(better, strength, picked)
        weights[:, better] = (vectors @ (against * shrunk[:, None]))[:, better]
        left_out[:, better] = (targets - residual)[:, better]
    weights, left_out, mean = _together(weights), _together(left_out), _together(mean)
    calibrations = [platt(left_out[:, k], scores[:, k]) for k in range(scores.shape[1])]
    arrays = {
        "centre": centre,
        "scale": scale,
        "recipe": np.array([recipe.embedding, recipe.kernel, recipe.width, recipe.beside]),
        "landmarks": landmarks,
        "weights": weights,
        "mean": mean - middle @ weights,
        **_slopes(calibrations),
    }
    chances = np.stack([c.chances(left_out[:, k]) for k, c in enumerate(calibrations)], axis=1)
    return Fitted(
        estimator=Estimator(arrays),
        left_out=left_out,
        chances=chances,
        strengths=tuple(float(x) for x in picked[:2]),
        error=float(best[-1]),
    )


def _turned(design: Floats) -> tuple[Floats, Floats, Floats]:
    """The eigenvalues of the design's [n, d] square and their vectors [d, k], and the design turned onto these [n, k].

    Of fewer prompts than inputs it is the smaller square, of the prompts, that is taken apart: the others' eigenvalues are 0.
    """
    n, d = design.shape
    if n >= d:
        values, vectors = np.linalg.eigh(design.T @ design)
        return values, vectors, design @ vectors
    values, left = np.linalg.eigh(design @ design.T)
    kept = values > values[-1] * 1e-10  # what is nothing but rounding has no direction
    values, left = values[kept], left[:, kept]
    roots = np.sqrt(values)
    return values, design.T @ (left / roots), left * roots


def fit_best(features: Floats, embeddings: Floats, scores: Floats, recipes: Sequence[Recipe]) -> Fitted:
    """The recipe under which the prompts left out are predicted best: chosen within the evidence, so no test set has a part in it."""
    return min((fit(features, embeddings, scores, recipe) for recipe in recipes), key=lambda fitted: fitted.error)


def _apart(scores: Floats) -> Floats:
    """[n, 1 + candidates]: the mean over the candidates, and how far each is above it. One candidate has no advantage over anybody."""
    difficulty = scores.mean(axis=1, keepdims=True)
    return difficulty if scores.shape[1] == 1 else np.hstack([difficulty, scores - difficulty])


def _together(found: Floats) -> Floats:
    """The inverse of `_apart`, for anything linear in the targets [..., 1 + candidates]."""
    return found if found.shape[-1] == 1 else found[..., :1] + found[..., 1:]


def _slopes(calibrations: list[Calibration]) -> dict[str, Floats]:
    return {"slope": np.array([c.slope for c in calibrations]), "shift": np.array([c.shift for c in calibrations])}
