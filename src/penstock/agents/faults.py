"""What a tool may raise to say how its failure is to be taken; anything else is taken by its kind (`Taken`)."""

from __future__ import annotations

from typing import Literal

from penstock.kernel.errors import PenstockError

Taken = Literal["transient", "permanent", "in_doubt"]


class Transient(Exception):
    """It did not happen and may succeed later, after ``after`` seconds at the earliest (a server's ``Retry-After``)."""

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Permanent(Exception):
    """It did not happen, and asking again will not change that."""


class InDoubt(Exception):
    """Nobody knows whether it happened: the answer was lost on the way."""


_BUSY = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses of our own errors after which the same request may succeed."""


def taken(fault: BaseException) -> tuple[Taken, float]:
    """How a failure is to be taken, and after how many seconds it may be tried again at the earliest.

    A refused connection has done nothing. A connection that was lost, or an answer that did not come in time, may have: that is
    `in_doubt`, and whoever can ask again under the same key may do so.
    """
    match fault:
        case Transient():
            return "transient", max(0.0, fault.after)
        case Permanent():
            return "permanent", 0.0
        case InDoubt() | TimeoutError():
            return "in_doubt", 0.0
        case ConnectionRefusedError():
            return "transient", 0.0
        case ConnectionError():
            return "in_doubt", 0.0
        case PenstockError() if fault.status in _BUSY:
            return "transient", getattr(fault, "retry_after", None) or 0.0
        case _:
            return "permanent", 0.0
