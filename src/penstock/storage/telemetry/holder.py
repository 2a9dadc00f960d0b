"""Who holds the embedded telemetry store: one process has the lease, opens the engine when there is work for it, and answers the others.

The lease is a lock on a file, which the kernel gives back when its holder dies. It is usually a process of its own
(`penstock.storage.telemetry.apart`), and the one that takes spans in where the settings, or tests, want no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock.kernel.errors import PenstockError, StorageError
from penstock.storage.telemetry.asked import Questions
from penstock.storage.telemetry.asking import Answers, Unanswered
from penstock.storage.telemetry.duck import READERS
from penstock.storage.telemetry.held import SUMMED_FROM, Held
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Facts
from penstock.storage.telemetry.resting import Nothing, Resting

_log = logging.getLogger("penstock.telemetry")

WATCHED_SECONDS = 10.0
"""After a question, for which what comes in is stored as soon as it can be."""

_WATCHING = frozenset({"search", "trace", "payload", "series", "groups", "threads", "export"})
LONGER = 8
"""Times ``drain_seconds`` that are between two rounds of storing at most, when much comes in."""

LEASE = "lease"
UNKNOWN = object()
"""What nobody can answer without the engine."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How the store is held.

    ``drain_seconds`` is how long a batch waits before questions see it while little comes in, and `LONGER` when it is much. While nobody
    asks, batches are stored every ``unwatched_seconds``, since each round costs as much as a thousand spans do; the first question has
    them stored before it is answered. ``idle_seconds`` without a batch and without a question close the engine, until there is one.
    ``memory_mb`` is what the engine may take, ``most_waiting_bytes`` what may wait in the inbox, and ``durable`` says whether a batch is on
    the disk (and not only with the kernel) before it is acknowledged. So many spans as ``summed_from`` are summed together.
    """

    memory_mb: int = 1024
    durable: bool = False
    most_waiting_bytes: int = 1 << 30
    drain_seconds: float = 0.25
    idle_seconds: float = 600.0
    unwatched_seconds: float = 5.0
    summed_from: int = SUMMED_FROM


class Holder:
    """Takes the lease when it is free and stores what waits. Call `start` first, `close` last; belongs to one event loop."""

    def __init__(self, folder: Path, inbox: Inbox, terms: Terms) -> None:
        self.folder = folder
        self._terms = terms
        self._watched = time.monotonic()
        self._hurry = asyncio.Event()
        self._inbox = inbox
        self._resting = Resting(folder, inbox)
        self._lease = -1
        self._held: Held | None = None
        self._answers: Answers | None = None
        self._task: asyncio.Task[None] | None = None
        self._taking = asyncio.Lock()
        self._readers = ThreadPoolExecutor(READERS, "telemetry-ask")
        self._writer = ThreadPoolExecutor(1, "telemetry-store")
        self._failing = False
        self._closed = False
        self._asked = 0
        self._used = time.monotonic()
        self._counted = 0, 0

    @property
    def holds(self) -> bool:
        """Whether this process is the one that opens the engine when it is needed."""
        return self._answers is not None

    @property
    def awake(self) -> bool:
        """Whether it has the engine open now."""
        return self._held is not None

    @property
    def unused(self) -> bool:
        """Whether nobody has asked, and nothing was stored, for ``idle_seconds``."""
        return not self._asked and time.monotonic() - self._used > self._terms.idle_seconds

    async def start(self) -> None:
        """Take the lease when it is free, and begin to store what waits; the engine is opened when there is work for it."""
        await self.take()
        self._task = asyncio.create_task(self._run(), name="telemetry store")

    async def close(self) -> None:
        """Store what waits, as far as this process holds the engine, and let go of it."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        async with self._taking:
            if self._held is not None:
                with contextlib.suppress(PenstockError):  # it stays in the inbox, for the next one
                    await self._on(self._writer, self._held.store_waiting)
            await self._let_go()
        self._readers.shutdown()
        self._writer.shutdown()

    async def answer(self, name: str, values: tuple[Any, ...]) -> Any:
        """What a question of `penstock.storage.telemetry.asking.SHAPES` is answered with."""
        if name == "alive":
            return None
        if self._held is None and (known := await self._on(self._writer, self._unopened, name, values)) is not UNKNOWN:
            return known
        opened = self._held is None
        held = await self._woken()
        self._asked += 1
        try:
            if name in _WATCHING:
                await self._watch(held, opened)
            match name:
                case "flush":
                    await self._on(self._writer, held.store_waiting)
                    return None
                case "erase" | "retain":
                    return await self._on(self._writer, getattr(held, name), *values)
                case "export":
                    which, path, payloads = values
                    return await self._on(self._readers, held.export, which, Path(path), payloads)
                case "facts":
                    return await self._on(self._readers, held.facts)
                case _:
                    return await self._on(self._readers, getattr(held.questions, name), *values)
        finally:
            self._asked -= 1
            self._used = time.monotonic()

    async def _watch(self, held: Held, opened: bool) -> None:
        """Somebody asks: what waited while nobody did is stored now, and what comes from here on soon."""
        now = time.monotonic()
        late, self._watched = opened or now - self._watched > WATCHED_SECONDS, now
        if late:
            self._hurry.set()
            await self._on(self._writer, held.store_waiting)

    def _unopened(self, name: str, values: tuple[Any, ...]) -> Any:
        return unopened(self._resting, name, values) if self._held is None else UNKNOWN

    @staticmethod
    async def _on(threads: ThreadPoolExecutor, work: Any, *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *values)

    async def take(self) -> None:
        """Take the lease, unless another process has it, and answer the others from now on."""
        async with self._taking:
            if self.holds or self._closed:
                return
            lease = await asyncio.to_thread(self._lock)
            if lease < 0:
                return
            self._lease = lease
            answers = Answers(self.folder, self.answer)
            try:
                await self._listen(answers)
            except BaseException:  # whatever it is, the lease must not stay with a process that answers nobody
                await answers.stop()
                await self._let_go()
                raise
            self._answers = answers

    async def _listen(self, answers: Answers) -> None:
        await answers.start()
        os.ftruncate(self._lease, 0)
        os.pwrite(self._lease, answers.path.encode(), 0)

    async def _stay_reachable(self) -> None:
        """Listen anew where the socket's file is gone: nobody else can, while this process has the lease."""
        async with self._taking:
            if (answers := self._answers) is not None and not await asyncio.to_thread(Path(answers.path).exists):
                _log.warning("the telemetry store's socket is gone and is made again", extra={"file": answers.path})
                await self._listen(answers)

    async def _woken(self) -> Held:
        """The engine, opened if nobody needed it so far. Raises `StorageError` when it cannot be."""
        async with self._taking:
            if (held := self._held) is None:
                if not self.holds:
                    raise Unanswered  # it changes hands: who asked asks again
                held = self._held = cast("Held", await self._on(self._writer, self._open))
            self._used = time.monotonic()
            return held

    def _open(self) -> Held:
        self._resting.forget()
        held = Held(self.folder, self._inbox, memory_mb=self._terms.memory_mb, summed_from=self._terms.summed_from)
        held.repeated, held.unreadable = self._counted
        return held

    async def _rest(self) -> None:
        """Close the engine, with the lock held that `_woken` takes."""
        held, self._held = self._held, None
        if held is not None:
            await self._on(self._writer, self._shut, held)

    def _shut(self, held: Held) -> None:
        self._counted = held.repeated, held.unreadable
        facts: Facts | None = None
        if not held.broken:
            with contextlib.suppress(StorageError):  # then the engine is asked, next time
                facts = held.facts()
        held.close()
        if facts is not None:
            with contextlib.suppress(OSError):
                self._resting.note(facts)

    def _lock(self) -> int:
        lease = os.open(self.folder / LEASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lease)
            return -1
        os.ftruncate(lease, 0)
        return lease

    async def _let_go(self) -> None:
        answers, self._answers = self._answers, None
        if answers is not None:
            await answers.stop()
        await self._rest()
        if self._lease >= 0:
            os.close(self._lease)
            self._lease = -1

    async def _run(self) -> None:
        took = 0.0
        while True:
            # The more comes in, the more is stored at once, which costs a span less.
            pause = max(self._terms.drain_seconds, min(LONGER * self._terms.drain_seconds, 4 * took))
            if time.monotonic() - self._watched > WATCHED_SECONDS:
                pause = max(pause, self._terms.unwatched_seconds)
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            began, awake = time.monotonic(), self.awake
            try:
                await self._stay_reachable()
                await self._look()
                took = time.monotonic() - began if awake else 0.0
                self._failing = False
            except PenstockError as fault:
                if not self._failing:
                    _log.warning("telemetry cannot be stored and waits in the inbox", extra={"fault": fault.message})
                self._failing = True
            except Exception:  # whatever it is (a full disk, no file descriptor left), a later round must be able to store
                if not self._failing:
                    _log.exception("telemetry cannot be stored and waits in the inbox")
                self._failing = True

    async def _look(self) -> None:
        """One round of the holder: store what waits, and close an engine that gave up or that nobody needs."""
        held = self._held
        if not self.holds:
            await self.take()
        elif held is None:
            if not await self._on(self._writer, self._inbox.is_empty):
                await self._on(self._writer, (await self._woken()).store_waiting)
        elif held.broken:
            _log.error("the telemetry store's engine gave up and is opened again")
            async with self._taking:
                await self._rest()
        elif await self._on(self._writer, held.store_waiting):
            self._used = time.monotonic()
        elif self.unused:
            async with self._taking:
                if self.unused:
                    await self._rest()


def unopened(resting: Resting, name: str, values: tuple[Any, ...]) -> Any:
    """The answer of a store that nobody has opened; `UNKNOWN` when only the engine can give it."""
    match name:
        case "facts":
            known = resting.facts()
        case "retain":
            known = resting.retain(*values)
        case "flush" if resting.empty:
            return None
        case "search" | "trace" | "payload" | "series" | "groups" | "threads" if resting.empty:
            return getattr(Questions(Nothing()), name)(*values)
        case _:
            return UNKNOWN
    return UNKNOWN if known is None else known
