"""How many further tries a provider may be sent: a share of the first ones, so that trouble there is not multiplied from here."""

from __future__ import annotations


class RetryBudget:
    """A token bucket: each first try puts in ``ratio`` of a token, each further one takes one. Without a token there is no further try.

    ``reserve`` is how many it holds at most and begins with, so that a quiet provider can be asked twice. Over n first tries there
    are never more than ``reserve + ratio * n`` further ones.
    """

    __slots__ = ("refused", "ratio", "reserve", "taken", "tokens")

    def __init__(self, ratio: float, reserve: float) -> None:
        self.ratio = ratio
        self.reserve = reserve
        self.tokens = reserve
        self.taken = 0
        self.refused = 0

    def deposit(self) -> None:
        """A first try is made."""
        tokens = self.tokens + self.ratio
        self.tokens = tokens if tokens < self.reserve else self.reserve

    def take(self) -> bool:
        """Take a token for a further try; False when there is none."""
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        self.taken += 1
        return True

    def drain(self) -> None:
        """A further try is made that must not be refused (a fallback elsewhere); it leaves less for the others."""
        self.tokens = max(0.0, self.tokens - 1)
        self.taken += 1
