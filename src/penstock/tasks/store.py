"""The SQL of the tasks. Writes what it is given, and reads it back; decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from penstock.storage.schema import encode_json
from penstock.tasks.model import Entry, Kept
from penstock.tasks.tables import AUDIT, CHANGES, TASKS

_log = logging.getLogger("penstock.tasks")


def bump(connection: Connection) -> None:
    """Count one change; its row lock puts changes in the order of their commits."""
    connection.execute(update(CHANGES).values(version=CHANGES.c.version + 1))


def counted(connection: Connection) -> int:
    """How many changes there were."""
    return connection.execute(select(CHANGES.c.version)).scalar_one()


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


def note(connection: Connection, entry: Entry) -> None:
    """Append a line to the trail, chained to the organisation's last."""
    query = select(AUDIT.c.digest).where(AUDIT.c.organisation == entry.organisation).order_by(AUDIT.c.id.desc()).limit(1)
    last = connection.execute(query).scalar() or ""
    told = {**msgspec.structs.asdict(entry), "changes": encode_json(entry.changes)}
    del told["id"]
    connection.execute(insert(AUDIT).values({**told, "digest": chained(last, entry)}))


def trail(connection: Connection, organisation: str, task: str | None, after: int, limit: int) -> list[Entry]:
    """An organisation's lines in the order in which they were written, from behind ``after``."""
    query = select(AUDIT).where(AUDIT.c.organisation == organisation, AUDIT.c.id > after).order_by(AUDIT.c.id).limit(limit)
    if task is not None:
        query = query.where(AUDIT.c.task == task)
    return [_entry(row) for row in connection.execute(query).mappings()]


def chained(last: str, entry: Entry) -> str:
    """The digest of a line behind a line with the digest ``last``."""
    told = msgspec.structs.replace(entry, id=0, digest="")
    return sha256(last.encode() + msgspec.json.encode(told)).hexdigest()


def broken(entries: Iterable[Entry]) -> int | None:
    """The id of the first line of an organisation's whole trail that does not follow from the one before it."""
    last = ""
    for entry in entries:
        if entry.digest != chained(last, entry):
            return entry.id
        last = entry.digest
    return None


def _row(kept: Kept) -> dict[str, Any]:
    return {**msgspec.structs.asdict(kept), "declaration": encode_json(kept.declaration)}


def _kept(row: Any) -> Kept:
    return msgspec.convert(_read(row, ("declaration",)), Kept)


def _entry(row: Any) -> Entry:
    return msgspec.convert(_read(row, ("changes",)), Entry)


def _read(row: Any, encoded: Sequence[str]) -> dict[str, Any]:
    # SQLAlchemy's names of columns are a kind of text that msgspec does not take for one.
    return {str(name): msgspec.json.decode(value) if name in encoded else value for name, value in row.items()}
