"""Where the journal lives: a SQLite file with one process that works on it, or a PostgreSQL database with many."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url

from penstock.journal.terms import file_of, is_shared
from penstock.kernel.errors import JournalInUse, JournalUnavailable

LOCK = "journal.lock"
SCHEMA = "penstock_journal"
"""Schema of DBOS's tables in a PostgreSQL database."""

BUSY_MS = 30_000
CONNECT_SECONDS = 5
PATIENCE_SECONDS = 5.0
CONNECTIONS = 16


class Place:
    """What the ``storage.records`` URL means for the journal. ``lock`` before use, ``close`` after. ``name`` may be shown.

    A process that stands still inside a transaction keeps its locks, and whoever takes over its runs would wait for them. On
    PostgreSQL the server ends such a session after ``patience`` seconds, which should be the lease.
    """

    def __init__(self, url: str, data_dir: Path, patience: float = PATIENCE_SECONDS) -> None:
        self.shared = is_shared(url)
        self.engine: Engine | None = None
        self._lock: int | None = None
        if self.shared:
            parsed = make_url(url).set(drivername="postgresql+psycopg")
            given = parsed.query.get("options", "")
            stop = f"-c idle_in_transaction_session_timeout={max(1, round(patience * 1000))}"
            parsed = parsed.update_query_dict({"options": f"{given if isinstance(given, str) else ' '.join(given)} {stop}".strip()})
            self.url = parsed.render_as_string(hide_password=False)
            self.name = f"PostgreSQL {parsed.database}"
            self.folder = data_dir
        else:
            self.path = file_of(url, data_dir).absolute()
            self.folder = self.path.parent
            self.url = f"sqlite:///{self.path}"
            self.name = f"SQLite at {self.path}"

    def lock(self) -> None:
        """On SQLite: become the one process that works here, and open the file. Raises `JournalInUse` when another one is. On PostgreSQL
        only make an engine, for the lease; DBOS makes its own.

        Two processes would each count only what they see between two polls, so limits of queues would not hold, and each would take the
        other's runs for those of a dead process. The lock is the kernel's and ends with the process, however it ends. Twice does no harm.
        """
        if self.engine is not None:
            return
        if self.shared:
            self.engine = create_engine(
                self.url,
                pool_size=2,
                max_overflow=0,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"connect_timeout": CONNECT_SECONDS},
            )
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise JournalUnavailable(f"the journal in {self.folder} cannot be opened: {fault.strerror}") from fault
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise JournalInUse(
                f"process {holder or 'unknown'} works on the journal in {self.folder}, and on SQLite only one may; "
                "stop it, or set storage.records to a PostgreSQL database for several",
                retry_after=1.0,
            ) from fault
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._lock = handle
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # so that nobody else on the machine can read it
        self.engine = _sqlite(self.url)

    def close(self) -> None:
        """Let go of file and lock; twice does no harm."""
        if self.engine is not None:
            self.engine.dispose()
            self.engine = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=60,
        hide_parameters=True,  # values may be prompts
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1e3},
    )

    def connected(connection: Any, _record: Any) -> None:
        # Write-ahead log before anything else happens: in the default mode readers and the writer lock each other out. Both modes sync on
        # commit, so that a completed step survives the loss of power.
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.isolation_level = "IMMEDIATE"
        connection.create_function("strftime", 2, _clock)

    event.listen(engine, "connect", connected)
    Turns().of(engine)
    return engine


class Turns:
    """Writers of one file wait for each other here: woken the moment it is free, where SQLite looks again after a while, ever longer.

    A connection has its turn from its first write until it goes back to the pool, after its commit. Whoever cannot get one in time goes
    on and leaves it to SQLite.
    """

    def __init__(self) -> None:
        self._free = threading.Lock()
        self._writer: Any = None

    def of(self, engine: Engine) -> None:
        """Have the connections of this engine take turns."""
        event.listen(engine, "before_cursor_execute", self._begins)
        event.listen(engine, "checkin", self._over)

    def _begins(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # The statements before which the driver begins a transaction.
        writes = statement.startswith(("INSERT", "UPDATE", "DELETE")) and self._writer is not connection.info
        if writes and self._free.acquire(timeout=BUSY_MS / 1e3):
            self._writer = connection.info

    def _over(self, _connection: Any, record: Any) -> None:
        if self._writer is record.info:
            self._writer = None
            self._free.release()


def _clock(form: str, when: str) -> float:
    """Stands in for SQLite's ``strftime('%s', 'now')``, in which DBOS counts on Python 3.11: whole seconds there.

    With those, a window of a rate limit ends up to a second early, and signals of one second have no order. Made with microseconds, the
    same expression is exact, also as the default of columns in a file that an older Python has made.
    """
    if (form, when) != ("%s", "now"):
        raise ValueError(f"strftime({form!r}, {when!r}) is not expected here")
    return time.time()
