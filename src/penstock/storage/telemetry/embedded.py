"""The embedded telemetry store: every process appends to the inbox, one holds the engine, the others ask it.

DuckDB lets one process open its file, for reading too. So the process that has the lease (a lock on a file, which the kernel gives
back when its holder dies) opens it once there is work for it, stores what waits, and answers on a Unix socket; a process that finds
nobody there tries for the lease itself. A batch is acknowledged once it is in the inbox, so ingest does not wait for the engine, for a
checkpoint, or for a holder to be found.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock.kernel.errors import PenstockError, RequestError, SettingsError, StorageError
from penstock.storage.telemetry.asked import Questions
from penstock.storage.telemetry.asking import Answers, Unanswered, ask
from penstock.storage.telemetry.duck import READERS
from penstock.storage.telemetry.held import Held
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Facts, Filter, Group, Page, Point, Removed, Retention, Stored, Threads
from penstock.storage.telemetry.resting import Nothing, Resting
from penstock.storage.telemetry.span import Payload, Span

_log = logging.getLogger("penstock.telemetry")

PATIENCE = 30.0
LONG_PATIENCE = 3600.0
"""Seconds that a question may take; an erasure, a round of retention and an export may take longer."""

WATCHED_SECONDS = 10.0
"""After a question, for which what comes in is stored as soon as it can be."""

_WATCHING = frozenset({"search", "trace", "payload", "series", "groups", "threads", "export"})
_LONG = frozenset({"erase", "retain", "export"})
LARGEST_BATCH = 48 << 20
LONGER = 8
"""Times ``drain_seconds`` that are between two rounds of storing at most, when much comes in."""

_ENGINE = object()


class EmbeddedTelemetry:
    """`penstock.storage.telemetry.store.TelemetryStore` in a folder. Call `start` first.

    ``drain_seconds`` is how long a batch waits before questions see it while little comes in, and `LONGER` when it is much. While nobody
    asks, batches are stored every ``unwatched_seconds``, since each round costs as much as a thousand spans do; the first question has
    them stored before it is answered.
    ``idle_seconds`` without a batch and without a question close the engine, until there is one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        memory_mb: int = 1024,
        durable: bool = False,
        most_waiting_bytes: int = 1 << 30,
        drain_seconds: float = 0.25,
        idle_seconds: float = 600.0,
        unwatched_seconds: float = 5.0,
    ) -> None:
        self.folder = folder
        self._memory_mb = memory_mb
        self._durable = durable
        self._most = most_waiting_bytes
        self._seconds = drain_seconds
        self._idle = idle_seconds
        self._unwatched = unwatched_seconds
        self._watched = time.monotonic()
        self._hurry = asyncio.Event()
        self._encode = msgspec.json.Encoder().encode_lines
        self._inbox: Inbox | None = None
        self._resting: Resting | None = None
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
        self._used = 0.0
        self._counted = 0, 0

    @property
    def holds(self) -> bool:
        """Whether this process is the one that opens the engine when it is needed."""
        return self._answers is not None

    @property
    def awake(self) -> bool:
        """Whether it has the engine open now."""
        return self._held is not None

    async def start(self) -> None:
        """Make the folder, take the lease when it is free, and begin to store what waits; the engine is opened when there is work for it.

        Raises `StorageError` when there can be no folder, `SettingsError` when the engine is not installed. An engine that cannot open
        its file is no reason not to start: batches wait in the inbox until it can, and questions say what is wrong.
        """
        if find_spec("duckdb") is None:
            raise SettingsError("storage.telemetry: DuckDB is not installed; install penstock[telemetry]", param="storage.telemetry")
        self._inbox = await asyncio.to_thread(self._make)
        self._resting = Resting(self.folder, self._inbox)
        await self._take()
        self._task = asyncio.create_task(self._run(), name="telemetry store")

    def _make(self) -> Inbox:
        try:
            # Files of the engines are as open as the process's umask says: nobody else gets into the folder.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as fault:
            raise StorageError(f"{self.folder}: the telemetry store cannot be made: {fault.strerror}") from fault
        return Inbox(self.folder / "inbox", most_bytes=self._most, durable=self._durable)

    async def append(self, spans: Sequence[Span], batch: str) -> None:
        if spans:
            await asyncio.to_thread(self.put, spans, batch)

    def put(self, spans: Sequence[Span], batch: str) -> None:
        """`append`, for threads: blocks for some tenths of a millisecond."""
        if self._inbox is None or self._closed:
            raise StorageError("the telemetry store is closed")
        data = self._encode(spans)
        if len(data) > LARGEST_BATCH:
            raise RequestError(f"a batch of telemetry takes at most {LARGEST_BATCH >> 20} MiB; send fewer spans at once")
        self._inbox.put(batch, data)

    async def flush(self) -> None:
        await self._ask("flush")

    async def search(self, which: Filter, limit: int = 50, cursor: str = "") -> Page:
        return await self._ask("search", which, limit, cursor)

    async def trace(self, trace_id: str, organisation: str | None, limit: int = 5000) -> list[Stored]:
        return await self._ask("trace", trace_id, organisation, limit)

    async def payload(self, trace_id: str, span_id: str, organisation: str | None) -> Payload | None:
        return await self._ask("payload", trace_id, span_id, organisation)

    async def series(self, which: Filter, step_ns: int, by: str = "", groups: int = 12) -> list[Point]:
        return await self._ask("series", which, step_ns, by, groups)

    async def groups(self, which: Filter, by: Sequence[str], limit: int = 50) -> list[Group]:
        return await self._ask("groups", which, list(by), limit)

    async def threads(self, which: Filter, limit: int = 50, cursor: str = "") -> Threads:
        return await self._ask("threads", which, limit, cursor)

    async def erase(self, organisation: str, person: str) -> Removed:
        return await self._ask("erase", organisation, person)

    async def retain(self, rules: Sequence[Retention], now_ns: int) -> Removed:
        return await self._ask("retain", list(rules), now_ns)

    async def export(self, which: Filter, path: Path, payloads: bool = False) -> int:
        return await self._ask("export", which, str(path.absolute()), payloads)

    async def facts(self) -> Facts:
        return await self._ask("facts")

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

    async def _ask(self, name: str, *values: Any) -> Any:
        until = time.monotonic() + PATIENCE
        while True:
            if self._inbox is None or self._closed:
                raise StorageError("the telemetry store is closed")
            if self.holds:
                return await self._answer(name, values)
            try:
                place = await asyncio.to_thread(self._place)
                return await ask(place, name, values, LONG_PATIENCE if name in _LONG else PATIENCE)
            except Unanswered as fault:
                # Whoever held it is gone, or has just taken it.
                await self._take()
                if not self.holds:
                    if time.monotonic() > until:
                        raise StorageError("nobody holds the telemetry store, and it cannot be opened here", retry_after=1) from fault
                    await asyncio.sleep(0.02)

    async def _answer(self, name: str, values: tuple[Any, ...]) -> Any:
        if self._held is None and (known := await self._on(self._writer, self._unopened, name, values)) is not _ENGINE:
            return known
        held = await self._woken()
        self._asked += 1
        try:
            if name in _WATCHING:
                await self._watch(held)
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

    async def _watch(self, held: Held) -> None:
        """Somebody asks: what waited while nobody did is stored now, and what comes from here on soon."""
        now = time.monotonic()
        late, self._watched = now - self._watched > WATCHED_SECONDS, now
        if late:
            self._hurry.set()
            await self._on(self._writer, held.store_waiting)

    def _unopened(self, name: str, values: tuple[Any, ...]) -> Any:
        """The answer of a store that nobody has opened; `_ENGINE` when only the engine can give it."""
        resting = self._resting
        if self._held is not None or resting is None:
            return _ENGINE
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
                return _ENGINE
        return _ENGINE if known is None else known

    @staticmethod
    async def _on(threads: ThreadPoolExecutor, work: Any, *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *values)

    def _place(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            if place := (self.folder / "lease").read_text("utf-8"):
                return place
        raise Unanswered

    async def _take(self) -> None:
        """Take the lease, unless another process has it, and answer the others from now on."""
        async with self._taking:
            if self.holds or self._closed:
                return
            lease = await asyncio.to_thread(self._lock)
            if lease < 0:
                return
            self._lease = lease
            answers = Answers(self.folder, self._answer)
            try:
                await answers.start()
                os.pwrite(lease, answers.path.encode(), 0)
            except BaseException:  # whatever it is, the lease must not stay with a process that answers nobody
                await answers.stop()
                await self._let_go()
                raise
            self._answers = answers

    async def _woken(self) -> Held:
        """The engine, opened if nobody needed it so far. Raises `StorageError` when it cannot be."""
        async with self._taking:
            if (held := self._held) is None:
                if not self.holds:
                    raise StorageError("the telemetry store changes hands", retry_after=1)
                held = self._held = cast("Held", await self._on(self._writer, self._open))
            self._used = time.monotonic()
            return held

    def _open(self) -> Held:
        assert self._inbox is not None
        assert self._resting is not None
        self._resting.forget()
        held = Held(self.folder, self._inbox, memory_mb=self._memory_mb)
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
        if facts is not None and self._resting is not None:
            with contextlib.suppress(OSError):
                self._resting.note(facts)

    def _lock(self) -> int:
        lease = os.open(self.folder / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
            pause = max(self._seconds, min(LONGER * self._seconds, 4 * took))
            if time.monotonic() - self._watched > WATCHED_SECONDS:
                pause = max(pause, self._unwatched)
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            began, awake = time.monotonic(), self.awake
            try:
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
        assert self._inbox is not None
        held = self._held
        if not self.holds:
            await self._take()
        elif held is None:
            if not await self._on(self._writer, self._inbox.is_empty):
                await self._on(self._writer, (await self._woken()).store_waiting)
        elif held.broken:
            _log.error("the telemetry store's engine gave up and is opened again")
            async with self._taking:
                await self._rest()
        elif await self._on(self._writer, held.store_waiting):
            self._used = time.monotonic()
        elif self._unused:
            async with self._taking:
                if self._unused:
                    await self._rest()

    @property
    def _unused(self) -> bool:
        return not self._asked and time.monotonic() - self._used > self._idle
