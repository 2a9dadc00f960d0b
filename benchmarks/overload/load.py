"""An open loop: requests leave at their time whatever became of those before, each on a connection that nobody else uses meanwhile."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """One request: its class, when it was due (seconds from the start), how long the answer took from then, and the status (0: none)."""

    kind: str
    due: float
    took: float
    status: int


class Stream(NamedTuple):
    """Requests of one class, ``rate`` a second; ``wire`` is the whole request."""

    kind: str
    rate: float
    wire: bytes


class _Line(asyncio.Protocol):
    """One connection, which reads one answer at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._done: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, wire: bytes) -> asyncio.Future[int]:
        """Send; the status, once the answer is whole, and 0 when the connection ends before."""
        assert self.transport is not None
        self._data, self._done = b"", asyncio.get_running_loop().create_future()
        self.transport.write(wire)
        return self._done

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._done is None or self._done.done():
            return
        length = _LENGTH.search(self._data[:end])
        if length is not None and len(self._data) >= end + 4 + int(length[1]):
            self._done.set_result(int(self._data[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(0)


class Load:
    """Sends to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[_Line] = []

    async def open_loop(self, streams: Sequence[Stream], seconds: float, patience: float = 30.0) -> list[Answer]:
        """Every request of ``streams`` for ``seconds``; those that have no answer ``patience`` seconds after the end have status 0."""
        plan = sorted((n / s.rate, s) for s in streams for n in range(int(s.rate * seconds)))
        began, tasks = time.perf_counter(), list[asyncio.Task[Answer]]()
        for due, stream in plan:
            wait = began + due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self._one(stream, due, began)))
        await asyncio.wait(tasks, timeout=patience)
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        done = [task.result() for task in tasks if not task.cancelled()]
        return done + [Answer("late", 0.0, patience, 0)] * len(late)

    async def closed_loop(self, stream: Stream, at_once: int, seconds: float) -> float:
        """Good answers a second of ``at_once`` callers who each ask again when they are answered."""
        until, good = time.perf_counter() + seconds, 0

        async def caller() -> None:
            nonlocal good
            while (now := time.perf_counter()) < until:
                answer = await self._one(stream, 0.0, now)
                good += answer.status == 200

        await asyncio.gather(*(caller() for _ in range(at_once)))
        return good / seconds

    async def _one(self, stream: Stream, due: float, began: float) -> Answer:
        line = self._free.pop() if self._free else None
        if line is None or line.transport is None or line.transport.is_closing():
            _, line = await asyncio.get_running_loop().create_connection(_Line, "127.0.0.1", self._port)
        status = await line.ask(stream.wire)
        took = time.perf_counter() - began - due
        self._free.append(line)
        return Answer(stream.kind, due, took, status)
