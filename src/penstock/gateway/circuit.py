"""A circuit: whether a target may be asked now, decided from how it answered lately.

::

    closed ──failures──> open ──its time is over──> probing ──the probe is answered──> ramping ──> closed
                          ^                            │                                  │
                          └────────────────────────────┴──────── a failure ───────────────┘

While it is open nobody asks. Then one call at a time is let through as a probe, and after the first good answer a share of the calls that
grows from a tenth to all, so that what has just come back is not run over. Each failed return doubles the time that it stays open. The
times are jittered, so that many processes do not come back at once. A pause (the provider named a time) skips the probe.

Successes cost an addition; time is only looked at when something fails.
"""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable

from msgspec import Struct


class State(enum.StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Pass(enum.Enum):
    """What a circuit says to a call that wants to enter."""

    REFUSED = 0
    FREE = 1
    PROBE = 2
    """The one call whose outcome decides; it must report with ``probe=True``."""


class Rules(Struct, frozen=True, kw_only=True):
    """When a circuit opens and how it comes back; times in seconds."""

    streak: int = 5
    """Failures one after another that open it."""
    share: float = 0.5
    """Share of failures within the window that opens it, once there are twice ``streak`` of them."""
    window: float = 10.0
    open: float = 2.0
    longest: float = 30.0
    probe: float = 30.0
    """After so long a probe that has not come back no longer keeps the next from being sent."""
    ramp: float = 10.0


FIRST_SHARE = 0.1
RAMP_FAILURES = 2
EARLY_SECONDS = 0.5
_MOST_DOUBLINGS = 16


class Circuit:
    """One circuit. ``soft`` says that it was only set aside because others do better: as a last resort it may be asked all the same."""

    __slots__ = (
        "_bad",
        "_clock",
        "_guessed",
        "_ok",
        "_opened",
        "_paused",
        "_ramp_bad",
        "_random",
        "_streak",
        "_window_at",
        "changed",
        "rules",
        "since",
        "soft",
        "state",
        "until",
        "why",
    )

    def __init__(self, rules: Rules, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random) -> None:
        self.rules = rules
        self._clock = clock
        self._random = chance
        self.state = State.CLOSED
        self.since = clock()
        self.until = 0.0
        self.why = ""
        self.soft = False
        self.changed = 0
        self._paused = False
        self._guessed = False
        self._opened = 0
        self._streak = 0
        self._ok = 0
        self._bad = 0
        self._ramp_bad = 0
        self._window_at = self.since

    def enter(self) -> Pass:
        """Ask to be let in. A `Pass.PROBE` must be followed by `succeeded`, `failed` or `abandoned` with ``probe=True``."""
        if self.state is State.CLOSED:
            return Pass.FREE
        now = self._clock()
        if self.state is State.OPEN:
            if now < self.until:
                return Pass.REFUSED
            if not self._paused:
                self._move(State.PROBING, now)
                return Pass.PROBE
            self._move(State.RAMPING, now)
        elif self.state is State.PROBING:
            if now - self.since < self.rules.probe:
                return Pass.REFUSED
            self.since = now
            return Pass.PROBE
        share = self.share(now)
        if share >= 1.0:
            self._close(now)
            return Pass.FREE
        return Pass.FREE if self._random() < share else Pass.REFUSED

    def early(self) -> bool:
        """Whether an open circuit may be probed before its time, because nobody else is left; that call is then its probe.

        At most twice a second, and never within a pause that the provider asked for.
        """
        now = self._clock()
        if self.state is not State.OPEN or (self._paused and not self._guessed) or now - self.since < EARLY_SECONDS:
            return False
        self._move(State.PROBING, now)
        return True

    def share(self, now: float) -> float:
        """The share of calls that are let in while ramping."""
        ramp = self.rules.ramp
        return 1.0 if ramp <= 0 else FIRST_SHARE + (1 - FIRST_SHARE) * (now - self.since) / ramp

    def share_now(self) -> float:
        """`share` at this moment."""
        return self.share(self._clock())

    def wait(self) -> float:
        """Seconds until the next call may be let in; 0 when one may now."""
        now = self._clock()
        if self.state is State.OPEN:
            return max(0.0, self.until - now)
        return max(0.0, self.since + self.rules.probe - now) if self.state is State.PROBING else 0.0

    def succeeded(self, *, probe: bool = False) -> None:
        """A call was answered as it should be."""
        if self.state is State.CLOSED:
            self._streak = 0
            self._ok += 1
        elif probe and self.state is State.PROBING:
            self._move(State.RAMPING, self._clock())

    def failed(self, why: str, began: float, *, probe: bool = False) -> None:
        """A call that ``began`` then (on the circuit's clock) was not answered. What began before the last change says nothing new."""
        now = self._clock()
        if self.state is State.CLOSED:
            if began < self.since and self.changed:
                return
            if now - self._window_at > self.rules.window:
                self._ok = self._bad = 0
                self._window_at = now
            self._streak += 1
            self._bad += 1
            rules = self.rules
            if self._streak >= rules.streak or (self._bad >= 2 * rules.streak and self.failing >= rules.share):
                self._open(why, now)
        elif self.state is State.PROBING:
            if probe:
                self._open(why, now)
        elif self.state is State.RAMPING and began >= self.since:
            self._ramp_bad += 1
            if self._ramp_bad >= RAMP_FAILURES:
                self._open(why, now)

    def abandoned(self, *, probe: bool = False) -> None:
        """A call ended without saying anything about the target (its client left). A probe's place is free again."""
        if probe and self.state is State.PROBING:
            self.state = State.OPEN
            self.until = self._clock()

    def pause(self, seconds: float | None, why: str) -> None:
        """Ask nobody for ``seconds`` and up to a tenth longer, then ramp up; None: as long as an opening takes.

        A longer pause or opening that stands is kept.
        """
        now = self._clock()
        if seconds is None:
            if self.state is not State.OPEN:
                self._open(why, now)
                self._paused = self._guessed = True
            return
        until = now + seconds * (1 + 0.1 * self._random())
        if self.state is State.OPEN and self.until >= until:
            return
        self._move(State.OPEN, now)
        self._paused, self._guessed, self.soft = True, False, False
        self.until, self.why = until, why

    def eject(self, why: str) -> None:
        """Set a closed circuit aside because others do better; it comes back as after an opening."""
        if self.state is State.CLOSED:
            self._open(why, self._clock())
            self.soft = True

    @property
    def limited(self) -> bool:
        """Whether it is open because of a rate limit, not because of failures."""
        return self._paused and self.state is State.OPEN

    @property
    def failing(self) -> float:
        """Share of failures in the window."""
        return self._bad / (self._ok + self._bad) if self._bad else 0.0

    @property
    def failures(self) -> int:
        """Failures in the window that the last failure fell into."""
        return self._bad

    def _open(self, why: str, now: float) -> None:
        self._move(State.OPEN, now)
        self._paused = self._guessed = self.soft = False
        length = min(self.rules.longest, self.rules.open * 2.0 ** min(self._opened, _MOST_DOUBLINGS))
        self._opened += 1
        self.until = now + length * (0.75 + 0.5 * self._random())
        self.why = why

    def _close(self, now: float) -> None:
        self._move(State.CLOSED, now)
        self._opened = 0
        self.soft = self._paused = False
        self.why = ""

    def _move(self, state: State, now: float) -> None:
        self.state = state
        self.since = self._window_at = now
        self.changed += 1
        self._streak = self._ok = self._bad = self._ramp_bad = 0
