"""A prompt as estimates see it: its text, its features, its embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LONGEST = 4_000
"""Characters that are embedded: the local model reads the first 256 tokens."""


def embedded(text: str) -> str:
    """The part of a prompt that is embedded, in the evidence as on the line."""
    return text[:LONGEST]


class Prompt:
    """``text`` as the user said it last, ``features`` [f] and ``embedding`` [d] as arrays, made when they are asked for the first time."""

    __slots__ = ("_embedding", "_features", "_listed", "_vector", "text")

    def __init__(self, text: str, features: Sequence[float], vector: bytes) -> None:
        self.text = text
        self._listed = features
        self._vector = vector
        self._features: NDArray[Any] | None = None
        self._embedding: NDArray[Any] | None = None

    @property
    def features(self) -> NDArray[Any]:
        if self._features is None:
            import numpy as np  # lazy: of the extra `local`, without which there are no embeddings either

            self._features = np.array(self._listed)
        return self._features

    @property
    def embedding(self) -> NDArray[Any]:
        if self._embedding is None:
            import numpy as np

            self._embedding = np.frombuffer(self._vector, dtype=np.float32)
        return self._embedding
