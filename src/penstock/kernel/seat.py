"""Where a process sits among the workers that one supervisor keeps on a machine."""

from __future__ import annotations

import msgspec

MOST_WORKERS = 64
"""Workers of one supervisor; what they share has room for so many."""


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``workers`` seats, counted from 0. A worker that takes a dead one's place sits on the same seat.

    ``folder`` is a short path of the supervisor's, readable by its owner alone, where the workers find each other. The rest are file
    descriptors that the worker inherits: ``counters`` is memory that all of them share, ``alive`` reads as ended when the supervisor is
    gone, and to ``told`` the worker writes one line when it serves.
    """

    index: int
    workers: int
    folder: str
    counters: int
    alive: int
    told: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says when it serves: where, and the first admin key when it has just made it (told this once)."""

    url: str
    key: str | None = None
