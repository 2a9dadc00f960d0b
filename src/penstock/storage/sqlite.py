"""Records in SQLite: the embedded default. Write-ahead log, one writer at a time, every commit on disk before it returns."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from penstock.kernel.errors import Conflict, PenstockError, RequestError, SchemaMismatch, StorageError, StorageFull
from penstock.storage.schema import encode_json

T = TypeVar("T")

READERS = 4
"""Threads that read at once. SQLite reads from the page cache; more threads wait for the interpreter, not for the disk."""

BUSY_MS = 10_000
"""How long a writer waits for another process's transaction before it gives up, in milliseconds."""

MIGRATION_BUSY_MS = 120_000
"""How long a migration waits for another process that migrates, in milliseconds."""

WAL_LIMIT = 64 * 1024 * 1024
"""Bytes to which the write-ahead log is cut back after a checkpoint."""


class SqliteRecords:
    """A database file. Opened and created on first use; a missing file reads as an empty database.

    ``synchronous=FULL`` costs an fsync a commit and buys that a committed transaction survives the loss of power. After ``kill -9``
    SQLite rolls the unfinished transaction back by itself on the next open.
    """

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.place = f"SQLite at {self.path}"
        self._writer = _engine(self.path, begin="BEGIN IMMEDIATE", pool_size=1)
        self._readers = _engine(self.path, begin="BEGIN", pool_size=READERS, query_only=True)
        # Serialises writers within the process fairly; between processes BEGIN IMMEDIATE does, by polling.
        self._writing = threading.Lock()
        self._write_thread = ThreadPoolExecutor(1, "penstock-write")
        self._read_threads = ThreadPoolExecutor(READERS, "penstock-read")
        self._exists = False
        self._closed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self.snapshot() as connection:
                return work(connection)

        return await self._submit(self._read_threads, run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self.begin() as connection:
                return work(connection)

        return await self._submit(self._write_thread, run)

    @contextmanager
    def snapshot(self) -> Generator[Connection]:
        if not self._exists and not self.path.exists():
            # Looking must not create anything, so what is not there is shown as what it would hold: nothing.
            empty = create_engine("sqlite://")
            try:
                with self._faults(), empty.connect() as connection:
                    yield connection
            finally:
                empty.dispose()
            return
        with self._faults(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def begin(self) -> Generator[Connection]:
        with self._faults(), self._writing:
            self._create()
            with self._writer.begin() as connection:
                yield connection

    @contextmanager
    def begin_migration(self) -> Generator[Connection]:
        with self._faults(), self._writing:
            self._create()
            engine = _engine(self.path, begin="BEGIN IMMEDIATE", pool_size=1, busy_ms=MIGRATION_BUSY_MS, foreign_keys=False)
            try:
                with engine.begin() as connection:
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                    if broken is not None:
                        raise StorageError(f"{self.place}: the migration left rows of {broken[0]} that refer to nothing; rolled back")
            finally:
                engine.dispose()

    def close(self) -> None:
        self._closed = True
        self._write_thread.shutdown()
        self._read_threads.shutdown()
        self._readers.dispose()
        # Last, so that closing its connection checkpoints the log and removes it.
        self._writer.dispose()

    async def _submit(self, threads: ThreadPoolExecutor, run: Callable[[], T]) -> T:
        if self._closed:
            raise StorageError(f"{self.place} is closed")
        return await asyncio.get_running_loop().run_in_executor(threads, run)

    def _create(self) -> None:
        if self._closed:
            raise StorageError(f"{self.place} is closed")
        if self._exists:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Made here and not by SQLite so that nobody else on the machine can read it. One that is there must not be opened: closing it
            # would drop this process's POSIX locks on it (https://sqlite.org/howtocorrupt.html, 2.2), after which another process
            # takes itself for the last one and deletes the log that this one goes on writing to.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            pass
        except OSError as fault:
            raise StorageError(f"{self.place} cannot be opened: {fault.strerror}") from fault
        self._exists = True

    @contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except DBAPIError as fault:
            raise self._translated(fault) from fault
        except OverflowError as fault:
            if "SQLite" not in str(fault):  # of who asked, not of the driver
                raise
            raise RequestError("the database cannot hold a value as it was given (a whole number beyond 64 bits)") from fault

    def _translated(self, fault: DBAPIError) -> PenstockError:
        code: int | None = getattr(fault.orig, "sqlite_errorcode", None)
        said = str(fault.orig)
        match code & 0xFF if code is not None else None:
            case sqlite3.SQLITE_FULL:
                return StorageFull(f"{self.place}: the disk is full; free some space, nothing was written")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StorageError(f"{self.place}: another process holds it locked", retry_after=1.0)
            case sqlite3.SQLITE_CONSTRAINT:
                return Conflict(f"the change clashes with what is stored ({said})")
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return StorageError(f"{self.place}: {said}; restore it from a backup")
            case sqlite3.SQLITE_ERROR if said.startswith(("no such table", "no such column")) or "has no column named" in said:
                return SchemaMismatch(f"{self.place}: {said}; run `penstock migrate`")
            case _:
                return StorageError(f"{self.place}: {said}")


def _engine(
    path: Path,
    *,
    begin: str,
    pool_size: int,
    query_only: bool = False,
    foreign_keys: bool = True,
    busy_ms: int = BUSY_MS,
) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        # Values never reach an error message or a log: they may be prompts or digests.
        hide_parameters=True,
        json_serializer=encode_json,
        json_deserializer=msgspec.json.decode,
        connect_args={"check_same_thread": False, "timeout": busy_ms / 1e3},
    )
    pragmas = [
        f"PRAGMA busy_timeout={busy_ms}",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        f"PRAGMA journal_size_limit={WAL_LIMIT}",
        f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}",
        "PRAGMA temp_store=MEMORY",
    ]
    if query_only:
        pragmas.append("PRAGMA query_only=ON")

    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        # None: the driver starts no transactions of its own, `starts` below does.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    def starts(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", starts)
    return engine
