"""How many calls a provider can take at once, learned from how it answers: additive increase, multiplicative decrease.

It begins at the configured maximum. Each sign of strain (429, 503, 529, a try that timed out) cuts it below what was in flight, at most
once for all calls that were in flight together; good answers raise it again by about its square root a round while it is in use.
Where ``by_pace`` is set (own hardware, whose load is all ours), answers that get slower are a sign of strain too: time per token against
the best that was seen. Vendors' pace changes for reasons of their own, so there only refusals count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

CUT = 0.7
PACE_CUT = 0.9
SLOWER = 1.5
"""How many times the best pace the mean may be before it counts as strain."""
FIRST_TOKENS = 30
"""A reply's fixed costs, in tokens of output: the time to the first token is about that of so many more."""
PACE_FLOOR = 8
"""Slowness alone never cuts the limit below so many calls."""
IDLE_STEP = 0.1
"""How fast the limit rises while it is not in use, against how fast it does while it is."""
_WEIGHT = 0.1
_DRIFT = 1.0005


class Pace:
    """Time per token of one target, seconds: mean of late, and best, which is forgotten slowly."""

    __slots__ = ("best", "mean")

    def __init__(self) -> None:
        self.mean = 0.0
        self.best = 0.0

    def add(self, seconds: float, tokens: int) -> None:
        """An answer of ``tokens`` took ``seconds``."""
        pace = seconds / (FIRST_TOKENS + tokens)
        mean = self.mean
        self.mean = mean = mean + (pace - mean) * _WEIGHT if mean else pace
        best = self.best * _DRIFT
        self.best = mean if not best or mean < best else best

    @property
    def slow(self) -> bool:
        """Whether answers come clearly slower than they can."""
        return self.mean > SLOWER * self.best


class Capacity:
    """The limit of one provider, and what is in flight there. ``limit`` stays between ``least`` and ``most``."""

    __slots__ = ("_clock", "_cut_at", "batch_share", "by_pace", "cuts", "in_flight", "least", "limit", "most", "refused")

    def __init__(
        self, most: int, *, least: int = 16, batch_share: float = 0.7, by_pace: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self.least = min(least, most)
        self.batch_share = batch_share
        self.by_pace = by_pace
        self.limit = float(most)
        self.in_flight = 0
        self.cuts = 0
        self.refused = 0
        self._clock = clock
        self._cut_at = -math.inf

    def room(self, *, batch: bool) -> bool:
        """Whether one more may be sent; batch work leaves the last part to interactive calls."""
        return self.in_flight < (max(1.0, self.limit * self.batch_share) if batch else self.limit)

    def good(self, pace: Pace) -> None:
        """A call was answered. To be said while it still counts as in flight."""
        if self.by_pace and pace.slow:
            self._cut(self._clock(), PACE_CUT, max(self.least, PACE_FLOOR), pace.mean * FIRST_TOKENS)
        elif self.limit < self.most:
            step = 1 / math.sqrt(self.limit)
            self.limit = min(float(self.most), self.limit + (step if self.in_flight >= 0.5 * self.limit else IDLE_STEP * step))

    def strained(self, began: float) -> None:
        """A call that ``began`` then (on the capacity's clock) met a sign of strain. To be said while it still counts as in flight."""
        if began < self._cut_at:
            return
        if self.in_flight >= 0.5 * self.limit:
            self._cut(self._clock(), CUT, self.least, 0.0)
        else:
            # Far below the limit it was no matter of calls at once (more likely of a rate): what is known of them hardly changes.
            self.limit = max(float(self.least), self.limit * CUT)
            self.cuts += 1
            self._cut_at = self._clock()

    def _cut(self, now: float, factor: float, floor: int, rest: float) -> None:
        if now - self._cut_at < rest:
            return
        wanted = max(float(floor), min(self.limit, float(self.in_flight)) * factor)
        if wanted < self.limit:
            self.limit = max(float(self.least), wanted)
            self.cuts += 1
        self._cut_at = now
