"""What a process holds of counters that are kept on a server: tokens taken ahead, slots, and what it has not told yet."""

from __future__ import annotations

import math

AHEAD = 0.25
"""Seconds of its own use that a process takes in advance from a fast bucket, and for which it may keep them."""

FAST = 2400
"""Tokens a minute from which on a bucket is fast."""

LASTS = 15.0
"""Seconds after which the slots of a process that says nothing any more are free."""

TICK = 0.1
REMEMBERED = 0.05
"""Seconds for which a refusal is repeated without asking the server, which others may have given something back to."""

IDLE = 1.0
"""Seconds after which a bucket that nobody asks for is forgotten here."""

FRESH = 0.02
"""Seconds in which whoever asked for a slot or for tokens of a slow bucket takes them; then they go back."""


class Bucket:
    """What one process knows of a bucket that is kept on a server."""

    __slots__ = (
        "ask_at",
        "asked",
        "charged",
        "counted_at",
        "holds",
        "least",
        "passes",
        "per_minute",
        "refused",
        "share",
        "since",
        "target",
        "used",
        "wait_until",
    )

    def __init__(self, now: float) -> None:
        self.per_minute = 0
        self.holds = 60.0
        self.share = 0
        """Granted and not used yet; may be used until `AHEAD` after `since`."""
        self.since = 0.0
        self.passes = 0
        """Calls that take nothing and found the bucket not overdrawn."""
        self.charged = 0
        """Settled or given back here and not told yet."""
        self.asked = 0
        self.least = -1
        """The least that a call waits for; -1: none does."""
        self.used = 0
        self.counted_at = now
        self.target = 0
        self.wait_until = 0.0
        self.ask_at = 0.0
        self.refused = 0
        """Whoever asks for so much or more before `ask_at` need not ask the server."""

    def collect(self, now: float, told: bool) -> tuple[int, int, int] | None:
        """What is to be said of it now: what is charged, and the least and the most that is asked for (-1 and 0: nothing).

        None when there is nothing to say; ``told`` says that somebody asked or settled since the last time.
        """
        fast = self.per_minute >= FAST
        stale = self.share > 0 and now - self.since > (AHEAD if fast else FRESH)
        if not told and not stale:
            return None
        if stale:
            self.charged -= self.share
            self.share = 0
        ahead = 0
        if fast:
            if now - self.counted_at >= TICK:
                self.target = math.ceil(self.used / (now - self.counted_at) * AHEAD)
                self.used, self.counted_at = 0, now
            ahead = max(0, self.target - self.share)
        charged, asked, least = self.charged, self.asked, self.least
        self.charged, self.asked, self.least = 0, 0, -1
        return charged, least if least >= 0 else (1 if ahead else -1), asked + ahead

    def answered(self, now: float, granted: int, wait: float, least: int) -> None:
        """The server's answer to what was collected."""
        if granted and not self.share:
            self.since = now
        self.share += granted
        if wait > 0:
            self.wait_until, self.refused = now + wait, least
            self.ask_at = now + min(wait, REMEMBERED)
            self.passes = 0

    def idle(self, now: float) -> bool:
        """Whether it may be forgotten."""
        return not self.share and now > self.wait_until and now - self.counted_at > IDLE


class Slots:
    """What one process knows of the slots of a key that are kept on a server."""

    __slots__ = ("asked", "granted", "granted_at", "limit", "occupied", "told_at", "untold")

    def __init__(self) -> None:
        self.limit = 0
        self.occupied = 0
        self.granted = 0
        """May be occupied beyond those that are, until `FRESH` after `granted_at`."""
        self.granted_at = 0.0
        self.asked = 0
        self.untold = False
        self.told_at = 0.0

    def collect(self, now: float) -> tuple[int, int] | None:
        """How many are occupied, and how many more are asked for; None when the server knows that already."""
        if self.granted and now - self.granted_at > FRESH:
            self.granted, self.untold = 0, True
        if not self.untold and now - self.told_at <= LASTS / 3:
            return None
        said = self.occupied + self.granted, self.asked
        self.asked, self.untold = 0, False
        return said

    def answered(self, now: float, granted: int) -> None:
        """The server's answer to what was collected."""
        if granted:
            self.granted_at = now
        self.granted += granted
        self.told_at = now


def slack(per_minute: int) -> float:
    """Seconds by which a bucket's burst is smaller, so that what lies ahead in processes is within the limit."""
    return AHEAD if per_minute >= FAST else 0.0
