"""Questions that are compared with each other, and the nearest among them: exact, by one product of a matrix and a vector.

How sure the nearest one makes is told by two cosines: how near it is, and by how much it is nearer than the nearest question that has
another answer. A question between two answers is unsure, however near the nearer one is: docs/performance.md says what that is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOM = 8
NOTHING_NEAR = 0.6
"""The cosine that a question with another answer has at least: a store with few questions must not look like certainty."""


def score(similarity: float, other: float) -> float:
    """How sure a hit is: its similarity, and its lead over the nearest question with another answer. At most 1.4."""
    return similarity + similarity - max(other, NOTHING_NEAR)


class Neighbours:
    """Unit vectors of one length by key. At 5,000 vectors of 384 numbers a search takes about 0.3 ms of one core."""

    def __init__(self, width: int) -> None:
        import numpy as np  # lazy: heavy, of the extra `local`, and only semantic look-ups need it

        self._np = np
        self._rows: NDArray[Any] = np.empty((ROOM, width), dtype=np.float32)
        self._answers: NDArray[Any] = np.empty(ROOM, dtype=np.int64)
        self._keys: list[bytes] = []
        self._at: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes, vector: bytes, answer: bytes = b"") -> None:
        """Add a question and the digest of its answer, in the place of the one with its key; a vector of another length is left out."""
        np = self._np
        if len(vector) != self._rows.shape[1] * 4:
            return
        self.remove(key)
        row = len(self._keys)
        if row == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._answers = np.concatenate([self._answers, np.empty_like(self._answers)])
        self._rows[row] = np.frombuffer(vector, dtype=np.float32)
        self._answers[row] = int.from_bytes(answer[:8].ljust(8, b"\0"), "little", signed=True)
        self._keys.append(key)
        self._at[key] = row

    def remove(self, key: bytes) -> None:
        """Take a vector out; the last one moves into its place."""
        row = self._at.pop(key, None)
        if row is None:
            return
        last = len(self._keys) - 1
        if row != last:
            self._rows[row] = self._rows[last]
            self._answers[row] = self._answers[last]
            moved = self._keys[row] = self._keys[last]
            self._at[moved] = row
        self._keys.pop()

    def oldest(self) -> bytes:
        """The key that was added first."""
        return next(iter(self._at))

    def nearest(self, vector: bytes) -> tuple[bytes, float, float]:
        """The key of the nearest question, its cosine, and the cosine of the nearest with another answer (0 without one)."""
        np, count = self._np, len(self._keys)
        cosines = self._rows[:count] @ np.frombuffer(vector, dtype=np.float32)
        row = int(cosines.argmax())
        others = cosines[self._answers[:count] != self._answers[row]]
        return self._keys[row], float(cosines[row]), float(others.max()) if len(others) else 0.0
