"""Waiting for runs to end: one question for all waiters, not one each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

Look = Callable[[Sequence[str]], Sequence[str]]
"""Which of these runs have ended; blocks. Raises SQLAlchemyError where the database does not answer."""


class Endings:
    """Wakes those who wait for a run. One that ends in this process tells (`tell`); about others one query asks every ``seconds``.

    Lives on one event loop; only `tell` may be called from anywhere.
    """

    def __init__(self, look: Look, seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: asyncio.Task[None] | None = None

    def tell(self, run: str) -> None:
        """Have whoever waits for this run look; from any thread."""
        # Read without a lock: a waiter that registers later looks by itself first.
        if run in self._waiting and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closing, and with it the waiters
                self._loop.call_soon_threadsafe(self._wake, run)

    async def wait(self, run: str) -> None:
        """Return when the run has ended."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiting[run].add(event)
        try:
            while not await self._ended([run]):
                if self._asking is None or self._asking.done():
                    self._asking = asyncio.create_task(self._ask())
                await event.wait()
                event.clear()
        finally:
            self._waiting[run].discard(event)
            if not self._waiting[run]:
                del self._waiting[run]

    def _wake(self, run: str) -> None:
        for event in self._waiting.get(run, ()):
            event.set()

    async def _ask(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._seconds)
            runs = list(self._waiting)
            for start in range(0, len(runs), 500):
                for run in await self._ended(runs[start : start + 500]):
                    self._wake(run)

    async def _ended(self, runs: Sequence[str]) -> Sequence[str]:
        try:
            return await asyncio.to_thread(self._look, runs)
        except SQLAlchemyError:  # it may answer at the next look; a fault here would fail whoever waits, or leave all waiting for ever
            return ()
