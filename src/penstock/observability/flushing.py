"""Queues that are emptied in the background: when that is done, what happens while it fails, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from penstock.kernel.errors import PenstockError

_log = logging.getLogger("penstock.observability")

SAY_AGAIN_SECONDS = 60.0


class Seldom:
    """Warnings of one room of trouble, at most one a minute, so that trouble does not fill the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said_at: float | None = None

    @property
    def due(self) -> bool:
        """Whether the next one would be said."""
        return self._said_at is None or self._clock() - self._said_at > SAY_AGAIN_SECONDS

    def warn(self, what: str, **extra: object) -> None:
        """Say it, unless something was said just now."""
        if self.due:
            self._said_at = self._clock()
            _log.warning(what, extra=extra)


class Flushing:
    """Calls ``flush`` every ``seconds``, sooner after `hurry`, and a last time in `stop`. Belongs to one event loop.

    While it fails, by whatever, it is called every ``again`` seconds, nothing hurries it, and what is queued waits. That, and what was
    dropped, is said with ``what`` it is. ``also`` is done after each flush that went well, but for the last.
    """

    def __init__(
        self,
        what: str,
        flush: Callable[[], Awaitable[None]],
        *,
        seconds: float,
        again: float,
        waiting: Callable[[], int],
        drops: Counter[str],
        also: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._what = what
        self._flush = flush
        self._also = also
        self._seconds, self._again = seconds, again
        self._waiting = waiting
        self._drops = drops
        self._said_drops = 0
        self._seldom = Seldom()
        self._wake = asyncio.Event()
        self._failing = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self._what)

    def hurry(self) -> None:
        """Flush now rather than later."""
        if not self._failing:
            self._wake.set()

    async def stop(self) -> None:
        """End, and flush what is queued, as far as it is taken; never fails."""
        if self._task is not None:
            # Told rather than cancelled: a write that was cut off would go on, on its thread, beside the one that follows.
            self._stopping = True
            self._wake.set()
            await self._task
            self._task = None
        try:
            await self._flush()
        except PenstockError as fault:
            _log.warning(f"{self._what} were lost at shutdown", extra={"waiting": self._waiting(), "reason": fault.message})
        except Exception:  # whatever it is, what is to end after this must end
            _log.exception(f"{self._what} were lost at shutdown", extra={"waiting": self._waiting()})

    async def _run(self) -> None:
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again if self._failing else self._seconds):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
                self._failing = False
                if self._also is not None:
                    await self._also()
            except PenstockError as fault:
                self._failing = True
                self._say("cannot be stored and wait", fault.message)
            except Exception as fault:  # whatever it is, it must go on: the queue fills and says so
                if self._seldom.due:
                    _log.error(f"{self._what} cannot be stored and wait by a fault of ours", exc_info=fault)
                self._failing = True
                self._say("cannot be stored and wait", type(fault).__name__)
            if self._drops.total() > self._said_drops and self._seldom.due:
                self._said_drops = self._drops.total()
                self._say("were dropped", ", ".join(f"{n} {reason}" for reason, n in self._drops.items()))

    def _say(self, what: str, why: str) -> None:
        self._seldom.warn(f"{self._what} {what}", waiting=self._waiting(), reason=why)
