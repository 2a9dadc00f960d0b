"""The SQL of batches; decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, and_, delete, insert, or_, select, update

from penstock.batches.model import Batch, LineError, Status
from penstock.batches.tables import BATCHES
from penstock.storage.schema import encode_json

_JSON = ("errors", "codes", "metadata")


def add(connection: Connection, batch: Batch) -> None:
    """Insert a new batch."""
    connection.execute(insert(BATCHES).values(_plain(msgspec.structs.asdict(batch))))


def change(connection: Connection, id: str, values: Mapping[str, Any], *, among: Collection[Status] | None = None) -> Batch | None:
    """Set columns of a batch, whose status is ``among`` these where given; how it stands then, None where there is no such."""
    where = [BATCHES.c.id == id]
    if among is not None:
        where.append(BATCHES.c.status.in_([s.value for s in among]))
    row = connection.execute(update(BATCHES).where(*where).values(_plain(values)).returning(BATCHES)).mappings().first()
    return None if row is None else _batch(row)


def get(connection: Connection, reach: str | None, id: str) -> Batch | None:
    """One batch, of one organisation when given."""
    where = [BATCHES.c.id == id, *([BATCHES.c.organisation == reach] if reach is not None else [])]
    row = connection.execute(select(BATCHES).where(*where)).mappings().first()
    return None if row is None else _batch(row)


def listed(
    connection: Connection,
    reach: str | None,
    *,
    shape: str | None = None,
    below: str | None = None,
    above: str | None = None,
    among: Collection[Status] | None = None,
    limit: int = 50,
) -> list[Batch]:
    """Batches, newest first: those after ``below``, or the nearest before ``above``."""
    where = [*([BATCHES.c.organisation == reach] if reach is not None else []), *([BATCHES.c.shape == shape] if shape is not None else [])]
    if among is not None:
        where.append(BATCHES.c.status.in_([s.value for s in among]))
    at, key = BATCHES.c.created_at, BATCHES.c.id
    if below is not None:
        moment = select(at).where(key == below).scalar_subquery()
        where.append(or_(at < moment, and_(at == moment, key < below)))
    if above is not None:
        moment = select(at).where(key == above).scalar_subquery()
        where.append(or_(at > moment, and_(at == moment, key > above)))
    order = (at.asc(), key.asc()) if above is not None else (at.desc(), key.desc())
    rows = connection.execute(select(BATCHES).where(*where).order_by(*order).limit(limit)).mappings().all()
    found = [_batch(row) for row in rows]
    return found[::-1] if above is not None else found


def remove(connection: Connection, id: str) -> None:
    """Delete a batch."""
    connection.execute(delete(BATCHES).where(BATCHES.c.id == id))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(values)
    for name in _JSON:
        if name in made:
            made[name] = encode_json(made[name])
    if isinstance(made.get("status"), Status):
        made["status"] = made["status"].value
    return made


def _batch(row: RowMapping) -> Batch:
    held = dict(row)
    held["status"] = Status(held["status"])
    held["errors"] = msgspec.json.decode(held["errors"], type=list[LineError])
    held["codes"] = msgspec.json.decode(held["codes"], type=dict[str, int])
    held["metadata"] = msgspec.json.decode(held["metadata"], type=dict[str, str])
    return Batch(**held)
