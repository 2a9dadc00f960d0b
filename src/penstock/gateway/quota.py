"""What a provider says is left of its rate limits, read from each reply's head, so that a limit is respected before it bites.

Three families of headers, one set for each model or deployment:

- ``x-ratelimit-remaining-requests``, ``-tokens`` with ``x-ratelimit-reset-...`` as a span such as ``1s``, ``6m0s`` or ``120ms``
  (https://platform.openai.com/docs/guides/rate-limits; Azure, Groq, Together, vLLM behind a proxy and others took it over),
- ``anthropic-ratelimit-requests-remaining``, ``-tokens-remaining``, ``-input-tokens-...``, ``-output-tokens-...`` with
  ``...-reset`` as an RFC 3339 moment (https://docs.anthropic.com/en/api/rate-limits),
- ``x-ratelimit-remaining-req-minute``, ``-tokens-minute``, which begin anew every minute (Mistral).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from datetime import datetime

from penstock.gateway.providers.provider import Upstream

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
UNKNOWN_RESET = 1.0
"""Seconds until a used-up limit is asked again when the provider does not say."""
RARELY = 16
LONGEST_RESET = 86_400.0

_FAMILIES = (
    ("x-ratelimit-remaining-requests", (("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),), "x-ratelimit-reset-requests"),
    (
        "anthropic-ratelimit-requests-remaining",
        (
            ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
            ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
            ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
        ),
        "anthropic-ratelimit-requests-reset",
    ),
    (
        "x-ratelimit-remaining-req-minute",
        (("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),),
        "x-ratelimit-reset-req-minute",
    ),
)


class Quota:
    """What is left at one target, as it said last, less what was sent since. Nothing is held back while it says nothing."""

    __slots__ = ("_clock", "_now", "_unheard", "fresh", "known", "requests", "requests_reset", "tell", "tokens", "tokens_reset")

    def __init__(self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._now = now
        self.known = False
        self.tell: Callable[[], None] | None = None
        self.fresh = False
        """Whether it heard something that the other workers have not been told."""
        self._unheard = 0
        self.requests = math.inf
        self.requests_reset = 0.0
        self.tokens = math.inf
        self.tokens_reset = 0.0

    def wait(self, tokens: int) -> float:
        """Seconds until a call of so many tokens fits; 0 when it does now, or when nothing is known any more."""
        if not self.known:
            return 0.0
        now, wait = self._clock(), 0.0
        if self.requests < 1:
            wait = max(wait, self._left(self.requests_reset - now, "requests"))
        if self.tokens < tokens:
            wait = max(wait, self._left(self.tokens_reset - now, "tokens"))
        return wait

    def state(self) -> tuple[float, float, float, float]:
        """Requests and tokens left, and the seconds until they begin anew."""
        now = self._clock()
        return self.requests, self.tokens, max(0.0, self.requests_reset - now), max(0.0, self.tokens_reset - now)

    def told(self, requests: float, tokens: float, requests_reset: float, tokens_reset: float) -> None:
        """Another worker heard this a moment ago."""
        now = self._clock()
        self.known = True
        self.requests, self.tokens = requests, tokens
        self.requests_reset, self.tokens_reset = now + requests_reset, now + tokens_reset

    def sent(self, tokens: int) -> None:
        """A call of so many tokens goes out."""
        if self.known:
            self.requests -= 1
            self.tokens -= tokens

    def heard(self, upstream: Upstream) -> None:
        """Read the head of a reply. Of a target that said nothing so far only every `RARELY`-th is looked at."""
        if not self.known:
            self._unheard += 1
            if self._unheard > RARELY and self._unheard % RARELY and upstream.status != 429:
                return
        header = upstream.header
        for remaining, others, reset in _FAMILIES:
            said = header(remaining)
            if said is None and header(others[0][0]) is None:
                continue
            self.known = True
            now = self._clock()
            left = _count(said)
            self.requests = left if left is not None else math.inf
            if self.requests < 1:
                self.requests_reset = now + self._span(header(reset))
            self.tokens = math.inf
            for tokens_remaining, tokens_reset in others:
                left = _count(header(tokens_remaining))
                if left is not None and left < self.tokens:
                    self.tokens = left
                    self.tokens_reset = now + self._span(header(tokens_reset))
            if self.tell is not None and not self.fresh:
                self.fresh = True
                self.tell()
            return

    def _left(self, seconds: float, which: str) -> float:
        if seconds > 0:
            return seconds
        # The limit was filled up meanwhile; how far, the next reply will say.
        if which == "requests":
            self.requests = math.inf
        else:
            self.tokens = math.inf
        return 0.0

    def _span(self, text: str | None) -> float:
        seconds = span(text, self._now) if text else None
        return min(LONGEST_RESET, max(0.0, seconds)) if seconds is not None else UNKNOWN_RESET


def span(text: str, now: Callable[[], float] = time.time) -> float | None:
    """Seconds in ``text``: a number, a span such as ``6m0s``, or the time until an RFC 3339 moment; None when it is none of these."""
    text = text.strip()
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    except ValueError:
        pass
    found = _SPAN.findall(text)
    if found and "".join(n + u for n, u in found) == text:
        return sum(float(n) * _UNITS[u] for n, u in found)
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() - now() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _count(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        count = float(text)
    except ValueError:
        return None
    return count if count >= 0 and math.isfinite(count) else None
