"""The trail of who opened, exported or erased prompts and replies: its table and its SQL. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Double, Index, Integer, Table, Text, select

from penstock.observability.tables import METADATA
from penstock.storage.changes import ChangeCount
from penstock.storage.trail import Trail

PIECE = 1000
"""Lines that are read at once when the whole trail is checked."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One line: who did what to whose prompts and replies, when and from where.

    ``organisation`` is whose they are, ``reader_organisation`` whose key it was (another one's, where who runs the installation looked).
    ``action`` is ``opened``, ``exported`` or ``erased``; ``kind`` is ``call``, ``span``, ``spans`` or ``person``, and ``subject`` names it:
    a call's id, ``trace/span``, the filter of an export, or the first 32 digits of the SHA-256 of a person's id. ``by`` is the key,
    ``name`` what it was called then, ``via`` the ``console`` or the ``api``. ``digest`` is SHA-256 over the line and the line before it.
    """

    id: int
    organisation: str
    action: str
    kind: str
    subject: str
    by: str
    name: str
    person: str | None
    reader_organisation: str
    via: str
    at: float
    digest: str


LINES = Table(
    "payload_access",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organisation", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("person", Text),
    Column("reader_organisation", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("digest", Text, nullable=False),
)
"""Append only: nothing in Penstock changes or deletes a row, and each carries a digest over itself and the one before it."""

Index("ix_payload_access_organisation_id", LINES.c.organisation, LINES.c.id)
Index("ix_payload_access_subject", LINES.c.subject, LINES.c.id)

COUNT = Table(
    "payload_access_count",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
"""One row, whose lock puts lines in the order of their commits."""

_COUNT = ChangeCount(COUNT)
_TRAIL: Trail[Access] = Trail(LINES, msgspec.structs.asdict, lambda line: msgspec.structs.replace(line, id=0, digest=""))


def add(connection: Connection, line: Access) -> None:
    """Append a line."""
    _COUNT.bump(connection)
    _TRAIL.note(connection, line)


def latest(connection: Connection, organisation: str, subject: str | None, before: int | None, limit: int) -> list[Access]:
    """Lines of an organisation, newest first, from below the line ``before``."""
    asked = select(LINES).where(LINES.c.organisation == organisation).order_by(LINES.c.id.desc()).limit(limit)
    if subject is not None:
        asked = asked.where(LINES.c.subject == subject)
    if before is not None:
        asked = asked.where(LINES.c.id < before)
    return [_line(row) for row in connection.execute(asked).mappings()]


def broken(connection: Connection, organisation: str) -> int | None:
    """The first line of an organisation that does not follow from the one before it; None when the whole trail is sound."""
    return _TRAIL.broken(_all(connection, organisation))


def _all(connection: Connection, organisation: str) -> Iterator[Access]:
    after = 0
    while True:
        asked = select(LINES).where(LINES.c.organisation == organisation, LINES.c.id > after).order_by(LINES.c.id).limit(PIECE)
        lines = [_line(row) for row in connection.execute(asked).mappings()]
        yield from lines
        if len(lines) < PIECE:
            return
        after = lines[-1].id


def _line(row: Any) -> Access:
    return Access(**row)
