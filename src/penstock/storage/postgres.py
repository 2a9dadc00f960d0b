"""Records in PostgreSQL, for more than one machine. Needs the extra ``postgres`` (psycopg 3)."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from penstock.kernel.errors import Conflict, PenstockError, RequestError, SchemaMismatch, SettingsError, StorageError, StorageFull
from penstock.storage.schema import encode_json

T = TypeVar("T")

THREADS = 8
"""Connections, and threads that use them, of one process. Commands and other threads of ours may take two more."""

CONNECT_SECONDS = 5
STATEMENT_MS = 30_000
"""How long one statement may take before the server ends it; migrations are free of it."""

TRIES = 10
"""How often a transaction runs before a clash with others is given up; with the pauses below that is a few seconds."""

MIGRATION_LOCK = 0x50454E53
"""Number of the advisory lock that a migration holds: "PENS" in ASCII."""

_CLASHES = {"40001", "40P01", "55P03"}  # serialization_failure, deadlock_detected, lock_not_available
_MISSING = {"42P01", "42703", "3F000"}  # undefined_table, undefined_column, invalid_schema_name


class PostgresRecords:
    """A database on a server. Connects on first use. Transactions are ``SERIALIZABLE``, and run again when the server says they clash."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        self.place = _place(parsed)
        try:
            # Imports the driver, which is an extra.
            engine = create_engine(
                parsed,
                pool_size=THREADS,
                max_overflow=2,
                pool_pre_ping=True,
                pool_timeout=CONNECT_SECONDS,
                # Values never reach an error message or a log: they may be prompts or digests.
                hide_parameters=True,
                json_serializer=encode_json,
                json_deserializer=msgspec.json.decode,
                connect_args={"connect_timeout": CONNECT_SECONDS} if "connect_timeout" not in parsed.query else {},
            )
        except ImportError as fault:
            raise SettingsError(
                "storage.records names PostgreSQL, whose driver is not installed; pip install 'penstock[postgres]'",
                param="storage.records",
            ) from fault
        event.listen(engine, "connect", _connected)
        self._engine = engine
        self._writer = engine.execution_options(isolation_level="SERIALIZABLE")
        self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._migrator = engine.execution_options(isolation_level="READ COMMITTED")
        self._threads = ThreadPoolExecutor(THREADS, "penstock-records")
        self._closing = threading.Event()

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self.snapshot() as connection:
                return work(connection)

        return await self._submit(run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            tries = 1
            while True:
                try:
                    with self._writer.begin() as connection:
                        return work(connection)
                except DBAPIError as fault:
                    if _state(fault) not in _CLASHES or tries == TRIES or self._closing.is_set():
                        raise self._translated(fault) from fault
                except PoolTimeout as fault:
                    raise self._busy() from fault
                # A pause that doubles, and differs from that of the transaction which it clashed with.
                time.sleep(random.uniform(0.001, 0.004) * 2**tries)
                tries += 1

        return await self._submit(run)

    @contextmanager
    def snapshot(self) -> Generator[Connection]:
        with self._faults(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def begin(self) -> Generator[Connection]:
        with self._faults(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def begin_migration(self) -> Generator[Connection]:
        with self._faults(), self._migrator.begin() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            yield connection

    def close(self) -> None:
        self._closing.set()
        self._threads.shutdown()
        self._engine.dispose()

    async def _submit(self, run: Callable[[], T]) -> T:
        self._refuse_closed()
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _refuse_closed(self) -> None:
        if self._closing.is_set():
            raise StorageError(f"{self.place} is closed")

    @contextmanager
    def _faults(self) -> Generator[None]:
        self._refuse_closed()
        try:
            yield
        except DBAPIError as fault:
            raise self._translated(fault) from fault
        except PoolTimeout as fault:
            raise self._busy() from fault

    def _busy(self) -> StorageError:
        return StorageError(f"{self.place}: all connections are in use", retry_after=1.0)

    def _translated(self, fault: DBAPIError) -> PenstockError:
        state = _state(fault)
        said = _said(fault)
        if isinstance(fault, DataError):  # of the server (class 22), or of the driver before it: asked again it would be refused again
            return RequestError(f"the database cannot hold a value as it was given ({said})")
        if state is None:
            return StorageError(f"{self.place} does not answer: {said}", retry_after=1.0)
        if state == "53100":  # disk_full
            return StorageFull(f"{self.place}: the disk is full; free some space, nothing was written")
        if state in _CLASHES:
            return StorageError(f"{self.place}: the transaction clashed with others", retry_after=0.1)
        if state.startswith("23"):  # integrity_constraint_violation
            return Conflict(f"the change clashes with what is stored ({said})")
        if state in _MISSING:
            return SchemaMismatch(f"{self.place}: {said}; run `penstock migrate`")
        return StorageError(f"{self.place}: {said}")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as fault:
        # `from None`: the library's message quotes the URL, password and all.
        del fault
        raise SettingsError(
            "storage.records: not a valid URL; expected postgresql://user:password@host:5432/database", param="storage.records"
        ) from None
    return parsed.set(drivername="postgresql+psycopg")


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "the local socket"
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL at {host if isinstance(host, str) else ','.join(host)}{port}/{url.database or ''}"


def _connected(connection: Any, _record: Any) -> None:
    # Outside a transaction, or rolling the first one back would undo it.
    autocommit = connection.autocommit
    connection.autocommit = True
    connection.execute(f"SET statement_timeout = {STATEMENT_MS}")
    connection.autocommit = autocommit


def _state(fault: DBAPIError) -> str | None:
    return getattr(fault.orig, "sqlstate", None)


def _said(fault: DBAPIError) -> str:
    """The first line of what the server said, without the detail, which quotes values."""
    primary = getattr(getattr(fault.orig, "diag", None), "message_primary", None)
    return primary or str(fault.orig).split("\n", 1)[0]
