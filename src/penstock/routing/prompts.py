"""A prompt as estimates see it: its text, its features, its embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 4_000
"""Characters that are embedded: the local model reads the first 256 tokens."""


def embedded(text: str) -> str:
    """The part of a prompt that is embedded, in the evidence as on the line."""
    return text[:LONGEST]


class Prompt:
    """``text`` as the user said it last, its ``features``, and the ``vector`` of its embedding as `Embedder` gives it."""

    __slots__ = ("features", "text", "vector")

    def __init__(self, text: str, features: list[float], vector: bytes) -> None:
        self.text = text
        self.features = features
        self.vector = vector

    @property
    def embedding(self) -> NDArray[Any]:
        """The vector as an array of double precision."""
        import numpy as np  # lazy: of the extra `local`, without which there are no embeddings either

        return np.frombuffer(self.vector, dtype=np.float32).astype(np.float64)
