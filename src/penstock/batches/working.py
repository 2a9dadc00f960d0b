"""The lines of one batch, many in flight at once, until all are done or something ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from penstock.batches.asking import Asking
from penstock.batches.delegating import Handing
from penstock.batches.lines import Lines
from penstock.batches.model import Batch, Status
from penstock.batches.results import Result, ResultLog
from penstock.kernel.errors import Unauthenticated

DONE, CANCELLED, EXPIRED, KEY = "done", "cancelled", "expired", "key"
"""Why work on a batch's lines ended."""
WAITING, AGAIN = "waiting", "again"
"""It has not: lines are at a vendor's batch, or were there and are to be called."""

BLOCK_LINES = 64
BLOCK_BYTES = 4 << 20
BEAT = 1.0
"""Seconds between two looks at the batch, at which its progress is written and results are brought to disk."""
GRACE = 30.0
"""Seconds that calls in flight have when a batch is cancelled, since they are paid for already."""

Beat = Callable[[ResultLog, float], Awaitable[Batch]]
"""Writes how far a batch is, with its lines a second, and says how it stands."""


class Working:
    """One execution of a batch's lines. Lines that have a result in the log are left alone."""

    def __init__(self, batch: Batch, folder: Path, asking: Asking, beat: Beat, most: int, handing: Handing | None = None) -> None:
        self._batch = batch
        self._folder = folder
        self._asking = asking
        self._beat = beat
        self._most = most
        self._handing = handing
        self._tasks: set[asyncio.Task[None]] = set()
        self._calling: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._why: str | None = None
        self._fault: BaseException | None = None

    async def run(self) -> str:
        """Work; why it ended. Whatever happens, results that were there are on disk afterwards."""
        lines = await asyncio.to_thread(Lines, self._folder)
        try:
            log = await asyncio.to_thread(ResultLog, self._folder, len(lines))
            try:
                await self._beat(log, 0.0)
                beating = asyncio.create_task(self._watch(log))
                try:
                    await self._all(lines, log)
                    if self._handing is not None and self._why is None:
                        await asyncio.to_thread(self._handing.close)
                finally:
                    beating.cancel()
                    await self._stop(0.0)
                    await asyncio.gather(beating, return_exceptions=True)
                    if self._handing is not None:
                        self._handing.discard()
                    await asyncio.to_thread(log.sync)
                if self._fault is not None:
                    raise self._fault
                await self._beat(log, 0.0)
                if self._handing is not None and self._handing.waiting:
                    return WAITING  # also when something has ended the work here: what the vendor has done is paid for
                return self._why or DONE
            finally:
                log.close()
        finally:
            lines.close()

    def cancel(self) -> None:
        """Begin nothing more, at once and not only when the next beat sees that the batch is being cancelled."""
        self._end(CANCELLED)

    async def _all(self, lines: Lines, log: ResultLog) -> None:
        at = 0
        while at < len(lines) and self._why is None:
            block, at = await asyncio.to_thread(lines.block, at, self._wanted(log), BLOCK_LINES, BLOCK_BYTES)
            for number, line in block:
                while len(self._tasks) >= self._most and self._why is None:
                    self._room.clear()
                    await self._room.wait()
                if self._why is not None:
                    break
                task = asyncio.create_task(self._one(number, line, log))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
        while self._tasks and self._why is None:
            self._room.clear()
            await self._room.wait()
        if self._why is not None:
            await self._stop(GRACE if self._why == CANCELLED else 0.0)

    async def _one(self, number: int, line: bytes, log: ResultLog) -> None:
        task = asyncio.current_task()
        assert task is not None

        def calling(now: bool) -> None:
            (self._calling.add if now else self._calling.discard)(task)

        to = self._handing.to if self._handing is not None else frozenset[str]()
        found = await self._asking.ask(self._batch, number, line, calling, to)
        if isinstance(found, Result):
            log.add(number, found)
        else:
            assert self._handing is not None
            self._handing.take(number, found, self._asking.principal(self._batch))

    def _wanted(self, log: ResultLog) -> Callable[[int], bool]:
        if self._handing is None or not self._handing.waiting:
            return lambda n: not log.done[n]
        taken = self._handing.taken
        return lambda n: not log.done[n] and not taken[n]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if task.cancelled() or (fault := task.exception()) is None:
            return
        if isinstance(fault, Unauthenticated):
            self._end(KEY)
        else:
            self._fault = self._fault or fault
            self._end("fault")

    def _end(self, why: str) -> None:
        if self._why is None:
            self._why = why
        self._room.set()

    async def _stop(self, grace: float) -> None:
        """Break off what waits at once, and what is being called after ``grace`` seconds."""
        for task in self._tasks - self._calling:
            task.cancel()
        if self._calling and grace:
            await asyncio.wait(self._calling, timeout=grace)
        left = set(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _watch(self, log: ResultLog) -> None:
        began, before, rate = time.monotonic(), log.count, 0.0
        try:
            while True:
                await asyncio.sleep(max(0.0, min(BEAT, self._batch.expires_at - time.time())))
                await asyncio.to_thread(log.sync)
                now = time.monotonic()
                # The mean of about the last half minute.
                weight = min(1.0, (now - began) / 30.0) if rate else 1.0
                rate += ((log.count - before) / max(now - began, 1e-3) - rate) * weight
                began, before = now, log.count
                standing = await self._beat(log, rate)
                if standing.status is Status.CANCELLING:
                    self._end(CANCELLED)
                elif standing.expires_at <= time.time():
                    self._end(EXPIRED)
        except Exception as fault:  # the work must not go on unwatched; the step fails with what was wrong and is tried again
            self._fault = self._fault or fault
            self._end("fault")
