"""How likely each candidate is to answer a prompt well, from its features and its embedding: one small matrix for all candidates.

A ridge regression of the scores on standardised features, the embedding, and a Gaussian kernel to some prompts of the evidence (the
*landmarks*: Nyström's approximation, Williams and Seeger 2001), so that near prompts lend each other their outcomes, as in kNN, and far
ones do not. Ridge has a closed form for all candidates at once and for the predictions with each prompt left out (Allen 1974), which
choose its strength and feed the calibration. A prompt's estimate is two products of a vector and a matrix.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.routing.calibrate import Calibration, platt

Floats: TypeAlias = NDArray[np.float64]

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How an estimator is made. The weights say how much a group of inputs counts beside the features, each of variance 1.

    ``embedding`` and ``kernel`` are weights, 0 leaves the group out; ``width`` is the kernel's, for vectors of length 1;
    ``landmarks`` how many prompts of the evidence it looks at.
    """

    embedding: float = 8.0
    kernel: float = 6.0
    width: float = 0.9
    landmarks: int = 256
    strengths: tuple[float, ...] = STRENGTHS
    seed: int = 0


class Estimator:
    """Made by `fit`. Immutable and safe to share between threads; `arrays` and `from_arrays` carry it to disk and back."""

    def __init__(self, arrays: dict[str, Floats]) -> None:
        self.arrays = arrays
        self._centre, self._scale = arrays["centre"], arrays["scale"]
        self._embedding, self._kernel, self._width = (float(x) for x in arrays["recipe"])
        self._landmarks, self._weights, self._mean = arrays["landmarks"], arrays["weights"], arrays["mean"]
        self._slope, self._shift = arrays["slope"], arrays["shift"]
        features = self._centre.size
        # Features and embedding enter linearly, so their scaling is folded into the weights once.
        self._of_features = self._weights[:features] / self._scale[:, None]
        self._of_embedding = self._weights[features : features + self._landmarks.shape[1]] * self._embedding
        self._of_kernel = self._weights[features + self._landmarks.shape[1] :] * self._kernel
        self._constant = self._mean - self._centre @ self._of_features

    @property
    def candidates(self) -> int:
        return int(self._mean.size)

    def raw(self, features: Floats, embedding: Floats) -> Floats:
        """The regression's own scores [..., candidates] for ``features`` [..., f] and ``embedding`` [..., d] of length 1."""
        found = features @ self._of_features + embedding @ self._of_embedding + self._constant
        if len(self._landmarks):
            near = np.exp((embedding @ self._landmarks.T - 1) / (self._width * self._width))
            found = found + near @ self._of_kernel
        return found

    def chances(self, features: Floats, embedding: Floats) -> Floats:
        """Calibrated chances of success [..., candidates], each between 0 and 1."""
        return 1 / (1 + np.exp(-(self.raw(features, embedding) * self._slope + self._shift)))


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """An estimator and what it says of each prompt of its own evidence when that prompt is left out: ``left_out`` [n, candidates], raw."""

    estimator: Estimator
    left_out: Floats
    strengths: tuple[float, ...]


def fit(features: Floats, embeddings: Floats, scores: Floats, recipe: Recipe | None = None) -> Fitted:
    """From prompts [n, f], their embeddings [n, d] and how each candidate did on them [n, candidates], 0 to 1.

    Each candidate gets the strength under which prompts left out are predicted best. Raises ValueError below 20 prompts.
    """
    recipe = recipe or Recipe()
    n = len(scores)
    if n < 20:
        raise ValueError(f"{n} prompts are too few to estimate anything from; 20 are the least")
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.choice(n, size=min(n, recipe.landmarks), replace=False) if recipe.kernel else np.zeros(0, dtype=np.int64)
    landmarks = embeddings[chosen]
    near = np.exp((embeddings @ landmarks.T - 1) / (recipe.width * recipe.width))
    design = np.hstack([(features - centre) / scale, embeddings * recipe.embedding, near * recipe.kernel])
    middle = design.mean(axis=0)
    design -= middle
    mean = scores.mean(axis=0)
    values, vectors = np.linalg.eigh(design.T @ design)
    turned = design @ vectors
    against = turned.T @ (scores - mean)
    squared = turned * turned
    best = np.full(scores.shape[1], np.inf)
    weights = np.zeros((design.shape[1], scores.shape[1]))
    left_out = np.zeros_like(scores)
    picked = np.zeros(scores.shape[1])
    for strength in recipe.strengths:
        shrunk = 1 / (np.maximum(values, 0) + strength)
        predicted = turned @ (against * shrunk[:, None])
        leverage = np.minimum(squared @ shrunk + 1 / n, 0.999)
        residual = (scores - mean - predicted) / (1 - leverage)[:, None]
        error = (residual * residual).mean(axis=0)
        better = error < best
        best = np.where(better, error, best)
        picked = np.where(better, strength, picked)
        weights[:, better] = (vectors @ (against * shrunk[:, None]))[:, better]
        left_out[:, better] = (scores - residual)[:, better]
    calibrations = [platt(left_out[:, k], scores[:, k]) for k in range(scores.shape[1])]
    arrays = {
        "centre": centre,
        "scale": scale,
        "recipe": np.array([recipe.embedding, recipe.kernel, recipe.width]),
        "landmarks": landmarks,
        "weights": weights,
        "mean": mean - middle @ weights,
        **_slopes(calibrations),
    }
    return Fitted(estimator=Estimator(arrays), left_out=left_out, strengths=tuple(float(x) for x in picked))


def _slopes(calibrations: list[Calibration]) -> dict[str, Floats]:
    return {"slope": np.array([c.slope for c in calibrations]), "shift": np.array([c.shift for c in calibrations])}
