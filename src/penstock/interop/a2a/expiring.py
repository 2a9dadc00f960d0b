"""Tasks that ended long ago go, with what their clients said and who is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.interop.a2a.store import A2aStore
from penstock.kernel.errors import NotFound
from penstock.kernel.journal import ENDED, Journal

PAGE = 200


class Expiring:
    """``days`` is how long a task is kept after its run has ended; 0 keeps all."""

    def __init__(self, store: A2aStore, journal: Callable[[], Journal], days: float, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._journal = journal
        self._days = days
        self._clock = clock

    async def expire(self) -> None:
        """Take away what ended long enough ago, and what has left the journal before. Raises `JournalUnavailable` where nobody knows."""
        if not self._days:
            return
        before = self._clock() - self._days * 86_400
        last = (0.0, "")
        # Of those that began before; one that lasts is looked at each time, and there are few such.
        while page := await self._store.begun_before(before, last, PAGE):
            over = [run for _, run in page if await self._over(run, before)]
            if over:
                await self._store.remove(over)
            last = page[-1]

    async def _over(self, run: str, before: float) -> bool:
        try:
            info = await self._journal().get(None, run)
        except NotFound:
            return True
        return info.state in ENDED and (info.ended_at or info.updated_at) < before


__all__ = ["Expiring"]
