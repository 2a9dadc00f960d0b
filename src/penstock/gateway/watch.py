"""Calls in flight: who still waits for an answer, who takes too long to send a body, and who is there to be drained."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.kernel.web import EdgeProtocol

SWEEP_SECONDS = 0.02
"""How often calls in flight are looked at. Most calls end sooner and cost no timer and no task of their own."""


class OpenCall:
    """One call in flight. ``gone`` says that its client left, ``late`` that its body did not arrive in time; both cancel the task."""

    __slots__ = ("gone", "late", "protocol", "reading", "since", "task", "watcher")

    def __init__(self, task: asyncio.Task[Any], protocol: EdgeProtocol, since: float) -> None:
        self.task = task
        self.protocol = protocol
        self.since = since
        self.reading = True
        self.gone = False
        self.late = False
        self.watcher: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Wait for the client to leave, then cancel the call."""
        await self.protocol.client_disconnect()
        self.gone = True
        self.task.cancel()


class Watch:
    """Cancels calls whose client left, and those whose body takes longer than ``body_seconds``. Belongs to one event loop."""

    def __init__(self, body_seconds: float) -> None:
        self._body_seconds = body_seconds
        self._open: dict[OpenCall, None] = {}
        self._sweeping = False

    def enter(self, protocol: EdgeProtocol, loop: asyncio.AbstractEventLoop) -> OpenCall:
        """Put the running task under watch. `leave` must follow; ``reading`` is to be set False when the body is there."""
        task = asyncio.current_task(loop)
        assert task is not None
        opened = OpenCall(task, protocol, loop.time())
        self._open[opened] = None
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        return opened

    def rest(self, opened: OpenCall) -> None:
        """The answer is decided: the client may leave now."""
        opened.reading = False
        if opened.watcher is not None:
            opened.watcher.cancel()

    def leave(self, opened: OpenCall) -> None:
        """The call is over; a second time does nothing."""
        self._open.pop(opened, None)
        if opened.watcher is not None:
            opened.watcher.cancel()

    def tasks(self) -> set[asyncio.Task[Any]]:
        """The tasks of the calls in flight."""
        return {opened.task for opened in self._open}

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for opened in self._open:
            age = now - opened.since
            if age < SWEEP_SECONDS / 2:
                break  # they stand in the order of their arrival
            if opened.reading:
                if age > self._body_seconds and not opened.late:
                    opened.late = True
                    opened.task.cancel()
            elif opened.watcher is None:
                opened.watcher = loop.create_task(opened.watch())
        if self._open:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        else:
            self._sweeping = False
