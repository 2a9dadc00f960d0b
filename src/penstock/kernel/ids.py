"""Identifiers: time-ordered, unguessable enough for names, never used as secrets."""

from __future__ import annotations

import os
import random
import time

# Seeded from the operating system; two processes do not share a sequence. os.urandom per call would cost a system call on the line.
_random = random.Random()
_bits = _random.getrandbits
os.register_at_fork(after_in_child=_random.seed)


def new_id(prefix: str) -> str:
    """A time-ordered identifier: ``prefix``, an underscore, 12 hex digits of Unix milliseconds, 20 random hex digits.

    Ids made later sort later, to the millisecond. 80 random bits make a clash within one millisecond negligible.
    """
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{_bits(80):020x}"


def new_trace() -> tuple[str, str]:
    """A random W3C trace id of 32 lower-case hex digits and a span id of 16, neither all zero."""
    digits = f"{_bits(192):048x}"
    trace, span = digits[:32], digits[32:]
    return (trace, span) if trace != _NO_TRACE and span != _NO_SPAN else new_trace()


_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def new_span_id() -> str:
    """A random W3C span id: 16 lower-case hex digits, never all zero."""
    return f"{_bits(64) or 1:016x}"
