"""The SQL of the tasks. Writes what it is given, and reads it back; decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from penstock.storage.changes import ChangeCount
from penstock.storage.schema import encode_json
from penstock.storage.trail import Trail
from penstock.tasks.model import Entry, Kept
from penstock.tasks.tables import AUDIT, CHANGES, TASKS

_log = logging.getLogger("penstock.tasks")
_CHANGES = ChangeCount(CHANGES)
bump, counted = _CHANGES.bump, _CHANGES.counted
_TRAIL: Trail[Entry] = Trail(
    AUDIT,
    lambda entry: {**msgspec.structs.asdict(entry), "changes": encode_json(entry.changes)},
    lambda entry: msgspec.structs.replace(entry, id=0, digest=""),
)
note, broken = _TRAIL.note, _TRAIL.broken


def all_kept(connection: Connection) -> tuple[list[Kept], list[str]]:
    """Every task, by name, and the ids of those that this version of Penstock cannot read."""
    found: list[Kept] = []
    unread: list[str] = []
    for row in connection.execute(select(TASKS).order_by(TASKS.c.name, TASKS.c.id)).mappings():
        try:
            found.append(_kept(row))
        except msgspec.MsgspecError as fault:
            _log.error("a task cannot be read, and is not known until it is declared again", extra={"id": row["id"], "fault": str(fault)})
            unread.append(row["id"])
    return found, unread


def one(connection: Connection, organisation: str, name: str) -> Kept | None:
    """The organisation's task of this name."""
    row = connection.execute(select(TASKS).where(TASKS.c.organisation == organisation, TASKS.c.name == name)).mappings().first()
    return _kept(row) if row is not None else None


def add(connection: Connection, kept: Kept) -> None:
    """Insert a task. Raises `Conflict` through the engine when its name is taken."""
    connection.execute(insert(TASKS).values(_row(kept)))


def put(connection: Connection, kept: Kept) -> None:
    """Write a task over the stored one with the same id."""
    connection.execute(update(TASKS).where(TASKS.c.id == kept.id).values(_row(kept)))


def remove(connection: Connection, id: str) -> None:
    """Delete a task; its trail stays."""
    connection.execute(delete(TASKS).where(TASKS.c.id == id))


def trail(connection: Connection, organisation: str, task: str | None, after: int, limit: int) -> list[Entry]:
    """An organisation's lines in the order in which they were written, from behind ``after``."""
    query = select(AUDIT).where(AUDIT.c.organisation == organisation, AUDIT.c.id > after).order_by(AUDIT.c.id).limit(limit)
    if task is not None:
        query = query.where(AUDIT.c.task == task)
    return [_entry(row) for row in connection.execute(query).mappings()]


def _row(kept: Kept) -> dict[str, Any]:
    return {**msgspec.structs.asdict(kept), "declaration": encode_json(kept.declaration)}


def _kept(row: Any) -> Kept:
    return msgspec.convert(_read(row, ("declaration",)), Kept)


def _entry(row: Any) -> Entry:
    return msgspec.convert(_read(row, ("changes",)), Entry)


def _read(row: Any, encoded: Sequence[str]) -> dict[str, Any]:
    # SQLAlchemy's names of columns are a kind of text that msgspec does not take for one.
    return {str(name): msgspec.json.decode(value) if name in encoded else value for name, value in row.items()}
