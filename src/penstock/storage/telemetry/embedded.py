"""The embedded telemetry store: every process appends to the inbox, one holds the engine, all ask that one.

DuckDB lets one process open its file, for reading too. That is a process of its own (`penstock.storage.telemetry.apart`), or the one
among those that take spans in which has the lease (`penstock.storage.telemetry.holder`). A batch is acknowledged once it is in the inbox,
so ingest does not wait for the engine, for a checkpoint, or for a holder to be found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from penstock.kernel.errors import RequestError, SettingsError, StorageError
from penstock.storage.telemetry.apart import Apart
from penstock.storage.telemetry.asking import Unanswered, ask
from penstock.storage.telemetry.condition import condition_of
from penstock.storage.telemetry.holder import LEASE, UNKNOWN, Holder, Terms, unopened
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Condition, Facts, Filter, Group, Page, Point, Removed, Retention, Stored, Threads
from penstock.storage.telemetry.resting import Resting
from penstock.storage.telemetry.span import Payload, Span

PATIENCE = 30.0
LONG_PATIENCE = 3600.0
"""Seconds that a question may take; an erasure, a round of retention and an export may take longer."""

_LONG = frozenset({"erase", "retain", "export"})
LARGEST_BATCH = 48 << 20


class EmbeddedTelemetry:
    """`penstock.storage.telemetry.store.TelemetryStore` in a folder. Call `start` first.

    With a ``command`` the engine is a process apart, which that command line starts when it is given the folder and the terms;
    without one this process holds the engine, unless another has the lease.
    """

    def __init__(self, folder: Path, *, command: Callable[[Path, Terms], Sequence[str]] | None = None, **terms: Any) -> None:
        """``terms``: see `Terms`."""
        self.folder = folder
        self._terms = Terms(**terms)
        self._command = command
        self._encode = msgspec.json.Encoder().encode_lines
        self._inbox: Inbox | None = None
        self._holder: Holder | None = None
        self._apart: Apart | None = None
        self._resting: Resting | None = None
        self._closed = False

    @property
    def holds(self) -> bool:
        """Whether this process is the one that opens the engine when it is needed."""
        return self._holder is not None and self._holder.holds

    @property
    def awake(self) -> bool:
        """Whether it has the engine open now."""
        return self._holder is not None and self._holder.awake

    async def start(self) -> None:
        """Make the folder, and see to it that what waits is stored; the engine is opened when there is work for it.

        Raises `StorageError` when there can be no folder, `SettingsError` when the engine is not installed. An engine that cannot open
        its file is no reason not to start: batches wait in the inbox until it can, and questions say what is wrong.
        """
        if find_spec("duckdb") is None:
            raise SettingsError("storage.telemetry: DuckDB is not installed; install penstock[telemetry]", param="storage.telemetry")
        self._inbox = await asyncio.to_thread(self._make)
        self._resting = Resting(self.folder, self._inbox)
        if self._command is not None:
            self._apart = Apart(self.folder, self._inbox, self._command(self.folder, self._terms), seconds=self._terms.unwatched_seconds)
            self._apart.start()
        else:
            self._holder = Holder(self.folder, self._inbox, self._terms)
            await self._holder.start()

    def _make(self) -> Inbox:
        try:
            # Files of the engines are as open as the process's umask says: nobody else gets into the folder.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as fault:
            raise StorageError(f"{self.folder}: the telemetry store cannot be made: {fault.strerror}") from fault
        return Inbox(self.folder / "inbox", most_bytes=self._terms.most_waiting_bytes, durable=self._terms.durable)

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

    async def examine(self) -> Condition:
        return await asyncio.to_thread(condition_of, self.folder)

    async def close(self) -> None:
        """Let go of the engine, once it has stored what waits; another process's is left alone."""
        self._closed = True
        if self._apart is not None:
            await self._apart.close()
        if self._holder is not None:
            await self._holder.close()

    async def _ask(self, name: str, *values: Any) -> Any:
        try:
            return await self._answered(name, values)
        except OSError as fault:  # no file descriptor left, say, or no room for another process
            raise StorageError(f"the telemetry store cannot be asked: {fault.strerror}", retry_after=1) from fault

    async def _answered(self, name: str, values: tuple[Any, ...]) -> Any:
        until = time.monotonic() + PATIENCE
        while True:
            if self._inbox is None or self._closed:
                raise StorageError("the telemetry store is closed")
            try:
                if self._holder is not None and self._holder.holds:
                    return await self._holder.answer(name, values)
                place = await asyncio.to_thread(self._place)
                return await ask(place, name, values, LONG_PATIENCE if name in _LONG else PATIENCE)
            except Unanswered as fault:
                # Whoever held it is gone, or has just taken it, or nobody needed it so far.
                if self._apart is not None and self._resting is not None:
                    if (known := await asyncio.to_thread(unopened, self._resting, name, values)) is not UNKNOWN:
                        return known
                    await self._apart.wake()
                elif self._holder is not None:
                    await self._holder.take()
                if not self.holds:
                    if time.monotonic() > until:
                        raise StorageError("nobody holds the telemetry store, and it cannot be opened here", retry_after=1) from fault
                    await asyncio.sleep(0.02)

    def _place(self) -> str:
        try:
            place = (self.folder / LEASE).read_text("utf-8", "replace")
        except FileNotFoundError:
            place = ""
        if not place:
            raise Unanswered
        return place
