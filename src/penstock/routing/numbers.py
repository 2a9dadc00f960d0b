"""Which of all the processes that watch policies is this one? Each has a number, from 0, and a share of the chance of a false alarm.

Where several machines share a database nobody knows how many processes there are, and there may be more tomorrow. So each takes the
lowest number that is free, under a lease in the database, and number k watches with ``alarm * 6 / (pi^2 (k + 1)^2)``: however many there
are, these add up to ``alarm`` at most. A number that is let go, or whose process beats no more, goes to the next with what was won
under it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection

from penstock.kernel.errors import Conflict
from penstock.kernel.ids import new_id
from penstock.routing import store
from penstock.routing.series import share
from penstock.storage.moment import moment
from penstock.storage.records import Records

LEASE_SECONDS = 60.0
"""How long a process that beats no more is taken for alive."""
BEAT_SECONDS = 10.0
_TRIES = 5


class Fixed:
    """A number that is known: by the seat among a supervisor's workers, or by the settings; all have the same share."""

    def __init__(self, number: int, processes: int, alarm: float) -> None:
        self.number = number
        self.alarm = alarm / processes

    async def hold(self) -> bool:
        """True: it never changes."""
        return True

    async def leave(self) -> None:
        """Nothing to let go."""


class Leased:
    """A number under a lease. ``number`` and ``alarm`` mean something once `hold` was called. The lease is by the database's clock, which
    all machines share, unless ``clock`` says otherwise."""

    def __init__(self, records: Records, alarm: float, clock: Callable[[], float] | None = None) -> None:
        self._records = records
        self._whole = alarm
        self._clock = clock or time.monotonic
        self._lease_clock = clock
        self._holder = new_id("watcher")
        self._beat_at = 0.0
        self.number = -1

    @property
    def alarm(self) -> float:
        return share(self._whole, self.number + 1)

    async def hold(self) -> bool:
        """Take a number, or hold on to the one there is, where the last beat is long enough ago; False where it is another one now. Raises
        `StorageError`."""
        now = self._clock()
        if self.number >= 0 and now - self._beat_at < BEAT_SECONDS:
            return True
        number = await self._take(_TRIES)
        same, self.number, self._beat_at = number == self.number, number, now
        return same

    async def _take(self, tries: int) -> int:
        def work(connection: Connection) -> int:
            now = self._lease_clock() if self._lease_clock is not None else moment(connection)
            return store.take_number(connection, self._holder, now, now - LEASE_SECONDS)

        try:
            return await self._records.write(work)
        except Conflict:  # another process was given the same one at this moment
            if tries <= 1:
                raise
        return await self._take(tries - 1)

    async def leave(self) -> None:
        """Let it go, for the next. Raises `StorageError`."""
        if self.number >= 0:
            await self._records.write(lambda c: store.leave_number(c, self._holder))
            self.number = -1
