"""What is held in memory and kept fresh: looks for what this or another process committed, several times a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from penstock.kernel.errors import PenstockError


class Freshness:
    """Looks every ``seconds``, one look at a time, and knows how old what is held is.

    ``look`` takes in everything that is committed when it is called, and raises `StorageError` when the database does not answer; what
    is in memory then holds. ``after`` runs after each look that succeeded and is not a look itself: its failure is told the same way.
    ``failing`` and ``again`` are what the log says, once each time it begins and ends, by ``logger``.

    A room's service holds one and gives it its ``start``, ``stop`` and ``now``; whoever commits a change awaits `now`.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[None]],
        seconds: float,
        *,
        logger: logging.Logger,
        failing: str,
        again: str,
        after: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._name = name
        self._look = look
        self._after = after
        self._seconds = seconds
        self._log = logger
        self._said_failing = failing
        self._said_again = again
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._fresh_at = time.monotonic()

    async def start(self) -> None:
        """Look, and go on looking. Raises `StorageError` when the first look fails: then nothing runs."""
        await self.now()
        self._task = asyncio.create_task(self._watch(), name=f"{self._name} refresh")

    async def stop(self) -> bool:
        """End looking; whether it was running, so that a second stop does nothing again."""
        if self._task is None:
            return False
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        return True

    async def now(self) -> None:
        """Take in everything that is committed at this moment; when this returns, this process acts on it."""
        async with self._one_at_a_time:
            await self._look()
            self._fresh_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the database last said what there is."""
        return time.monotonic() - self._fresh_at

    async def _watch(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.now()
                if self._after is not None:
                    await self._after()
            except PenstockError as fault:
                if not failing:
                    self._log.warning(self._said_failing, extra={"fault": fault.message})
                failing = True
            else:
                if failing:
                    self._log.info(self._said_again)
                failing = False
