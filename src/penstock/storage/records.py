"""Records (keys, ledger, calls): one SQL database, embedded or a server, behind one small protocol.

SQL lives in the capability that asks the question: a store hands a function over, and it runs with a SQLAlchemy Core connection inside one
transaction on a thread. Transactions are serialisable on both engines, so a read followed by a write inside one `Records.write` loses
nothing to anybody else. A URL picks the engine; nothing outside the engine files knows which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from penstock.kernel.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

DATABASE_FILE = "penstock.db"
"""Name of the embedded database inside the data folder."""


class Records(Protocol):
    """One database. Safe to use from many threads, and from several processes at once.

    ``dialect`` is ``sqlite`` or ``postgresql``. ``place`` says where the database is, in words that may be shown: no user, no password.

    Errors, from every method: `StorageFull` when there is no room, `Conflict` when a constraint is violated, `SchemaMismatch` when a table
    or column is missing, `StorageError` for everything else that the database says. What ``work`` raises itself passes
    through unchanged. After any error the transaction is rolled back.
    """

    dialect: str
    place: str

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a thread in one read-only transaction, which sees one moment; writing in it is an error."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a thread in one transaction that is on disk when this returns.

        ``work`` may run more than once (the server asks for that when transactions clash), so it must have no effect besides the database.
        A caller that is cancelled while waiting does not undo it: the transaction may still be committed.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A read-only transaction for threads and commands; blocks. A database that does not exist yet looks empty."""
        ...

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction for threads and commands; blocks. Committed at the end of the block, rolled back when it raises.

        Unlike `write` it cannot run again: a clash with another transaction raises `StorageError` with ``retry_after``.
        """
        ...

    def begin_migration(self) -> AbstractContextManager[Connection]:
        """The one transaction that may change the schema; blocks until no other process holds one.

        Foreign keys are not enforced inside it, since rebuilding a table would cascade; SQLite checks them all before the commit.
        """
        ...

    def close(self) -> None:
        """Finish the work that was handed over and let go of the database. Using it afterwards is an error; closing twice is not."""
        ...


def open_records(url: str, data_dir: Path) -> Records:
    """The engine that ``url`` names: empty for SQLite in ``data_dir``, ``sqlite:///path`` or ``postgresql://...``.

    Touches neither disk nor network: the first use does. Raises `SettingsError` for a URL that is not valid or whose driver is
    not installed; the message does not repeat the URL, which may hold a password.
    """
    scheme, _, rest = url.partition("://")
    if not url:
        # Engines are imported when picked: a process on SQLite does not load PostgreSQL's driver.
        from penstock.storage.sqlite import SqliteRecords

        return SqliteRecords(data_dir / DATABASE_FILE)
    if scheme == "sqlite":
        from penstock.storage.sqlite import SqliteRecords

        if not rest.startswith("/") or len(rest) < 2:
            raise SettingsError("storage.records: a sqlite URL needs a file, as in sqlite:///penstock.db", param="storage.records")
        return SqliteRecords(Path(rest[1:]))
    if scheme in {"postgresql", "postgres", "postgresql+psycopg"}:
        from penstock.storage.postgres import PostgresRecords

        return PostgresRecords(url)
    shown = f"scheme {scheme!r}" if rest else "a text without a scheme"
    raise SettingsError(
        f"storage.records: {shown} is not known; leave it empty for SQLite, or give postgresql://user@host/database",
        param="storage.records",
    )
