"""Threads for functions that are no coroutine functions: as many as there may be, also where some never return.

A thread cannot be stopped. One whose caller has given up goes on until its function returns; it counts for as long, so that functions that
never return hold up other tools at worst, and neither the process's own threads nor its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from penstock.agents.faults import Transient

T = TypeVar("T")

MOST = 64
"""Functions that may run at once in a process."""
WAIT_SECONDS = 5.0
"""How long a call waits for a thread before it is told to come again."""


class Threads:
    """At most ``most`` threads. From any event loop."""

    def __init__(self, most: int = MOST, wait: float = WAIT_SECONDS) -> None:
        self._most = most
        self._wait = wait
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self.held = 0
        """Threads that run."""
        self.left = 0
        """Those of them whose callers have given up."""

    async def call(self, function: Callable[[], T]) -> T:
        """Call it on a thread of its own. Raises `Transient` where there is none in time; a caller that is cancelled leaves it alone."""
        loop = asyncio.get_running_loop()
        await self._take(loop)
        job = _Job(loop.create_future())
        context = contextvars.copy_context()

        def run() -> None:
            value: Any = None
            fault: BaseException | None = None
            try:
                value = context.run(function)
            except BaseException as raised:  # whatever it is belongs to whoever called
                fault = raised
            self._give(job)
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(job.finish, value, fault)

        # A daemon: one that never returns must not keep the process from ending.
        threading.Thread(target=run, name="penstock-tool", daemon=True).start()
        try:
            return await job.done
        except asyncio.CancelledError:
            with self._lock:
                if not job.over:
                    job.alone = True
                    self.left += 1
            raise

    async def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        until = loop.time() + self._wait
        while True:
            turn: asyncio.Future[None] = loop.create_future()
            with self._lock:
                if self.held < self._most:
                    self.held += 1
                    return
                self._waiting[turn] = loop
            try:
                async with asyncio.timeout_at(until):
                    await turn
            except TimeoutError:
                why = f"all {self._most} threads for tools are in use, {self.left} of them by functions that nobody waits for any more"
                raise Transient(why) from None
            finally:
                with self._lock:
                    self._waiting.pop(turn, None)

    def _give(self, job: _Job) -> None:
        with self._lock:
            job.over = True
            self.held -= 1
            self.left -= job.alone
            waiting = list(self._waiting.items())
            self._waiting.clear()
        for turn, loop in waiting:
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(_wake, turn)


class _Job:
    """A call on a thread. ``alone``: its caller has given up while it went on."""

    def __init__(self, done: asyncio.Future[Any]) -> None:
        self.done = done
        self.over = False
        self.alone = False

    def finish(self, value: Any, fault: BaseException | None) -> None:
        if self.done.done():
            return
        if fault is None:
            self.done.set_result(value)
        elif isinstance(fault, StopIteration):  # a future does not take one
            self.done.set_exception(RuntimeError("the function raised StopIteration"))
        else:
            self.done.set_exception(fault)


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


THREADS = Threads()
"""Those of this process."""
