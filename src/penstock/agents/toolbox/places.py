"""Places that few can have at once: who comes later waits in a queue, which has an end too."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from msgspec import Struct

from penstock.agents.faults import Transient


class Bounds(Struct, frozen=True, kw_only=True):
    """How many may work ``at_once``, how many may be ``waiting``, and for how many ``seconds`` each."""

    at_once: int
    waiting: int
    seconds: float


class _Waiter:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self.loop.create_future()
        self.has = False
        """Whether the place is theirs already; they may not know yet."""

    def told(self) -> None:
        if not self.turn.done():
            self.turn.set_result(None)


class Places:
    """The places of one process, also where several event loops run in it."""

    def __init__(self, name: str, bounds: Bounds) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()
        self.bounds = bounds
        self.taken = 0
        self.refused = 0
        """How often there was none since the process began."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Have a place. Raises `Transient` where too many wait already, or none became free in time."""
        await self._take()
        try:
            yield
        finally:
            with self._lock:
                self.taken -= 1
                self._next()

    async def _take(self) -> None:
        bounds = self.bounds
        with self._lock:
            if self.taken < bounds.at_once and not self._queue:
                self.taken += 1
                return
            if len(self._queue) >= bounds.waiting:
                self.refused += 1
                raise Transient(
                    f"{self._name}_busy: {self.taken} are at work in this process and {len(self._queue)} wait, which is as many as may",
                    after=1.0,
                )
            waiter = _Waiter()
            self._queue.append(waiter)
        try:
            async with asyncio.timeout(bounds.seconds):
                await waiter.turn
        except BaseException as fault:
            with self._lock:
                if waiter.has:  # it came when nobody waited for it any more
                    self.taken -= 1
                    self._next()
                else:
                    self._queue.remove(waiter)
                self.refused += isinstance(fault, TimeoutError)
            if not isinstance(fault, TimeoutError):
                raise
            raise Transient(f"{self._name}_busy: none became free within {bounds.seconds:g} s", after=1.0) from fault

    def _next(self) -> None:
        while self._queue and self.taken < self.bounds.at_once:
            waiter = self._queue.popleft()
            self.taken += 1
            waiter.has = True
            try:
                waiter.loop.call_soon_threadsafe(waiter.told)
            except RuntimeError:  # its loop has ended, and they with it
                self.taken -= 1
