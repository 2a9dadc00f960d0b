"""Many rows in few statements: the drivers take the interpreter's lock once a statement, not once a row.

A batch of rows given to ``executemany`` gives the lock up and asks for it again at each row, and every time somebody in the event loop
waits: with one thread serving calls and two writing rows, that cost more than the rows did.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection

PIECES = (64, 16, 4, 1)
"""Rows in one statement. A few fixed sizes, so that the driver finds each statement prepared; 64 rows of 40 columns are far below both
engines' limits (32,766 parameters in SQLite, 65,535 in PostgreSQL)."""


def insert_new(
    connection: Connection, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], *, absent: frozenset[str] = frozenset()
) -> int:
    """Insert the rows whose ``id`` is not there yet; how many were new. Doing it twice changes nothing.

    ``columns``: names in the order of each row's values, all ours: nothing from outside may stand there. ``absent``: columns in which an
    empty text stands for NULL. Driver SQL, since SQLAlchemy's own processing of a row costs more than the database's.
    """
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    new = at = 0
    for size in PIECES:
        while len(rows) - at >= size:
            values = tuple(chain.from_iterable(rows[at : at + size]))
            new += max(0, connection.exec_driver_sql(_statement(table, columns, mark, absent, size), values).rowcount)
            at += size
    return new


@lru_cache(64)
def _statement(table: str, columns: tuple[str, ...], mark: str, absent: frozenset[str], rows: int) -> str:
    quoted = ", ".join(f'"{column}"' for column in columns)
    one = "(" + ", ".join(f"nullif({mark}, '')" if column in absent else mark for column in columns) + ")"
    return f'INSERT INTO "{table}" ({quoted}) VALUES {", ".join([one] * rows)} ON CONFLICT (id) DO NOTHING'  # noqa: S608 - our own names
