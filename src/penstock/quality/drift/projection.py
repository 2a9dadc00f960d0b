"""Embeddings as a map of two dimensions: the principal components of both windows together, worked out here and not in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 500
"""Points of a map, both windows together."""


class Point(Struct, frozen=True):
    """A call: ``x`` and ``y`` from 0 to 1; ``now`` says that it is of the recent window. ``text`` begins its prompt."""

    id: str
    x: float
    y: float
    now: bool
    text: str = ""


class Map(Struct, frozen=True, kw_only=True):
    """The points, and the shares of the variance that each axis shows. ``why`` says why there are none."""

    points: list[Point]
    shown: tuple[float, float] = (0.0, 0.0)
    why: str = ""


def thinned(ids: Sequence[str], most: int) -> list[str]:
    """At most so many of them, evenly over time."""
    if len(ids) <= most:
        return list(ids)
    return [ids[at * len(ids) // most] for at in range(most)]


def project(vectors: NDArray[Any]) -> tuple[NDArray[Any], tuple[float, float]]:
    """Points [n, d] on their two principal components, each axis from 0 to 1; and the shares of the variance that they show."""
    import numpy as np  # an embedder has brought it

    centred = vectors - vectors.mean(0)
    values, directions = np.linalg.eigh(centred.T @ centred)
    flat = centred @ directions[:, [-1, -2]]
    low, high = flat.min(0), flat.max(0)
    whole = float(values.sum()) or 1.0
    return (flat - low) / np.maximum(high - low, 1e-12), (float(values[-1]) / whole, float(values[-2]) / whole)


__all__ = ["MOST", "Map", "Point", "project", "thinned"]
