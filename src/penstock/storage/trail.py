"""A trail that shows tampering: each line carries a digest over itself and the organisation's line before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, Table, insert, select


class Line(Protocol):
    """What a line of any trail has. ``id`` is the table's, and 0 before it is written."""

    @property
    def id(self) -> int: ...

    @property
    def organisation(self) -> str: ...

    @property
    def digest(self) -> str: ...


L = TypeVar("L", bound=Line)


class Trail(Generic[L]):
    """The lines in ``table``, append only. ``row`` gives a line's columns, ``told`` what of it goes into its digest, as JSON."""

    def __init__(self, table: Table, row: Callable[[L], dict[str, Any]], told: Callable[[L], object]) -> None:
        self._table = table
        self._row = row
        self._told = told

    def note(self, connection: Connection, entry: L) -> None:
        """Append a line, chained to the organisation's last."""
        lines = self._table.c
        query = select(lines.digest).where(lines.organisation == entry.organisation).order_by(lines.id.desc()).limit(1)
        last = connection.execute(query).scalar() or ""
        row = self._row(entry)
        del row["id"]
        connection.execute(insert(self._table).values({**row, "digest": self.chained(last, entry)}))

    def chained(self, last: str, entry: L) -> str:
        """The digest of a line behind a line with the digest ``last``. It covers all but its id and the digest itself."""
        return sha256(last.encode() + msgspec.json.encode(self._told(entry))).hexdigest()

    def broken(self, entries: Iterable[L]) -> int | None:
        """The id of the first line of an organisation's whole trail that does not follow from the one before it."""
        last = ""
        for entry in entries:
            if entry.digest != self.chained(last, entry):
                return entry.id
            last = entry.digest
        return None
