"""Connections to somebody's database, by engine: what keeps one from writing, from running on, and from doing a thing twice."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError

from penstock.agents.toolbox.references import resolved
from penstock.kernel.errors import SettingsError

LONGEST_VALUE = 8 * 2**20
"""Of one value in SQLite, in bytes; beyond it the statement fails."""
LOOKS = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list", "database_list"}
)
"""Pragmas that describe tables."""
OUTSIDE = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
"""Functions that leave the database."""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")


class Overtime(Exception):
    """A statement was stopped because it took too long."""


class Database:
    """Where statements go; each gets a connection of its own, so nothing that one leaves behind in a session counts for the next.

    Raises `SettingsError` for what is no URL, and for a database that cannot be kept from writing.
    """

    def __init__(self, url: str, *, seconds: float, reads: bool, role_reads_only: bool = False, once: str = "") -> None:
        self.seconds = seconds
        self._given = url
        self._reads = reads
        self._vouched = role_reads_only
        self._engine: Engine | None = None
        if once and IDENTIFIER.fullmatch(once) is None:
            raise SettingsError(f"once: {once!r} is no name for a table", param="once")
        columns = (Column("key", Text, primary_key=True), Column("result", Text, nullable=False))
        self._once = Table(once, MetaData(), *columns) if once else None
        # What stands behind a reference may not be there yet when agents are declared; it is looked at with the first question.
        self.kind = "SQL" if url.startswith(("env:", "file:")) else self._url().get_backend_name()

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection on which nothing can be written."""
        with self._connected() as connection:
            if self._postgres:
                # After the first query a transaction cannot be made to write any more.
                connection.execute(text("SET TRANSACTION READ ONLY"))
                if connection.execute(text("SELECT current_setting('is_superuser')")).scalar() == "on":
                    raise SettingsError(
                        "sql: a superuser's questions can read files and run programs; give the tool a role of its own", param="url"
                    )
            with self._watched(connection):
                try:
                    yield connection
                finally:
                    connection.rollback()

    @contextmanager
    def _watched(self, connection: Connection) -> Generator[None]:
        """On PostgreSQL the limit of a statement counts anew for each part of the rows that is fetched, and a question may lift it for the
        parts after its first: so it is stopped from outside as well."""
        if not self._postgres:
            yield
            return
        over = threading.Event()
        driver: Any = connection.connection.driver_connection

        def stop() -> None:
            wait = self.seconds
            while not over.wait(wait):
                with suppress(Exception):  # it ends just now, or is lost, which whoever waits for the rows is told
                    driver.cancel_safe(timeout=5.0)
                wait = 0.2  # between two parts there was nothing to stop

        watcher = threading.Thread(target=stop, name="penstock-sql-limit", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def asked(self, connection: Connection, statement: Any, parameters: dict[str, Any]) -> Any:
        """The rows of a question, as they are read."""
        # On PostgreSQL this declares a cursor, which takes nothing but a query, and only one.
        return connection.execution_options(stream_results=True, max_row_buffer=100).execute(statement, parameters)

    @contextmanager
    def writing(self, key: str) -> Generator[tuple[Connection, str | None]]:
        """A transaction, and what came of the call if it was made before."""
        with self._connected() as connection, connection.begin():
            before = None
            if self._once is not None:
                self._once.create(connection, checkfirst=True)
                if self._postgres:
                    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
                    connection.execute(lock, {"key": key})
                before = connection.execute(select(self._once.c.result).where(self._once.c.key == key)).scalar()
            yield connection, before

    def done(self, connection: Connection, key: str, result: str) -> None:
        """Write down in the same transaction that the call was made."""
        if self._once is not None:
            connection.execute(insert(self._once).values(key=key, result=result))

    def overtime(self, fault: DBAPIError, took: float) -> bool:
        """Whether the database stopped it for the time it took."""
        if self._postgres:
            return getattr(fault.orig, "sqlstate", None) == "57014"
        return took >= self.seconds and "interrupt" in str(fault.orig)

    def unreachable(self, fault: DBAPIError) -> bool:
        """Whether there was no connection at all, or the database is busy with somebody else."""
        state = getattr(fault.orig, "sqlstate", None)
        if self._postgres:
            return type(fault.orig).__name__ == "OperationalError" and (state is None or state.startswith(("08", "53", "57P")))
        return "database is locked" in str(fault.orig) or "unable to open" in str(fault.orig)

    @property
    def _postgres(self) -> bool:
        return self.kind == "postgresql"

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        if self._engine is None:
            self._engine = self._made()
        with self._engine.connect() as connection:
            yield connection

    def _url(self) -> URL:
        try:
            found = make_url(resolved(self._given, "sql url"))
            found.get_dialect()
        except (ArgumentError, ImportError) as fault:
            # The URL may hold a password: only what kind of fault it is may be told.
            raise SettingsError(f"sql: this is no SQLAlchemy URL, or its driver is missing ({type(fault).__name__})", param="url") from None
        backend, driver = found.get_backend_name(), found.drivername
        if backend == "postgresql":
            if driver not in ("postgresql", "postgresql+psycopg"):
                raise SettingsError(f"sql: {driver} lets one text hold several statements; use postgresql+psycopg://", param="url")
            return found.set(drivername="postgresql+psycopg")
        if backend == "sqlite" or not self._reads or self._vouched:
            return found
        raise SettingsError(
            f"sql: nothing here keeps a session of {backend} from writing; give it a role that may only read and say role_reads_only=True",
            param="url",
        )

    def _made(self) -> Engine:
        url = self._url()
        self.kind = url.get_backend_name()
        if self._postgres:
            milliseconds = max(1, round(self.seconds * 1000))
            options = f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds + 5000}"
            if self._reads:
                options += " -c default_transaction_read_only=on"
            # Prepared statements hold one statement only.
            words: dict[str, Any] = {"options": options, "connect_timeout": 10, "prepare_threshold": 0}
            return create_engine(url, poolclass=NullPool, connect_args=words)
        if self.kind == "sqlite":
            if not url.database or url.database == ":memory:":
                raise SettingsError("sql: a SQLite database is a file here; give sqlite:///path", param="url")
            path = url.database.removeprefix("file:") if url.query.get("uri") else quote(url.database)
            mode = "ro" if self._reads else "rw"
            url = url.set(database=f"file:{path}", query={"mode": mode, "uri": "true", "check_same_thread": "false"})
            engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": min(5.0, self.seconds)})
            event.listen(engine, "connect", self._guarded)
            if not self._reads:
                event.listen(engine, "begin", _begun)
            return engine
        return create_engine(url, poolclass=NullPool)

    def _guarded(self, connection: Any, _record: Any) -> None:
        """Set what a SQLite connection may do, before anything is asked on it."""
        words = connection.__class__
        names = _codes(words)
        if self._reads:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.isolation_level = None  # else the driver leaves changes of tables outside of the transaction
        connection.setlimit(names["SQLITE_LIMIT_LENGTH"], LONGEST_VALUE)
        connection.setlimit(names["SQLITE_LIMIT_ATTACHED"], 0)
        until = time.monotonic() + self.seconds
        connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        allowed = {names[one] for one in ("SQLITE_SELECT", "SQLITE_READ", "SQLITE_RECURSIVE")}
        denied = {names[one] for one in ("SQLITE_ATTACH", "SQLITE_DETACH", "SQLITE_CREATE_VTABLE", "SQLITE_DROP_VTABLE")}
        function, pragma, ok, deny = (names[one] for one in ("SQLITE_FUNCTION", "SQLITE_PRAGMA", "SQLITE_OK", "SQLITE_DENY"))

        def asked(action: int, first: str | None, second: str | None, *_: Any) -> int:
            if action == function:
                return deny if (second or "").lower() in OUTSIDE else ok
            if action == pragma:
                return ok if (first or "").lower() in LOOKS else deny
            if self._reads:
                return ok if action in allowed else deny
            return deny if action in denied else ok

        connection.set_authorizer(asked)


def _begun(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _codes(connection: type[Any]) -> dict[str, int]:
    """SQLite's numbers, from the module that the connection comes from: which driver that is, is SQLAlchemy's choice."""
    from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

    module: Any = SQLiteDialect_pysqlite.import_dbapi()
    assert issubclass(connection, module.Connection)
    return {name: getattr(module, name) for name in dir(module) if name.startswith("SQLITE_")}
