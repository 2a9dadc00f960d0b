"""The registry's SQL. Writes what it is given, and reads it back; decides nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from penstock.registry.model import Entry, Model, Version
from penstock.registry.tables import AUDIT, CHANGES, MODELS, VERSIONS
from penstock.storage.changes import ChangeCount
from penstock.storage.schema import encode_json
from penstock.storage.trail import Trail

_JSON = ("facts", "scan", "signature", "evidence", "approvals", "makers")
_CHANGES = ChangeCount(CHANGES)
bump, counted = _CHANGES.bump, _CHANGES.counted
_TRAIL: Trail[Entry] = Trail(
    AUDIT, msgspec.structs.asdict, lambda entry: msgspec.structs.astuple(msgspec.structs.replace(entry, id=0, digest=""))
)
note, broken = _TRAIL.note, _TRAIL.broken


def add_model(connection: Connection, model: Model) -> None:
    """Insert a model. Raises `Conflict` through the engine when its name is taken."""
    connection.execute(insert(MODELS).values(msgspec.structs.asdict(model)))


def add_version(connection: Connection, version: Version) -> None:
    """Insert a version."""
    connection.execute(insert(VERSIONS).values(_row(version)))


def put_version(connection: Connection, version: Version) -> None:
    """Write a version over the stored one with the same id."""
    connection.execute(update(VERSIONS).where(VERSIONS.c.id == version.id).values(_row(version)))


def model(connection: Connection, reach: str | None, id: str) -> Model | None:
    """The model with this id within ``reach``."""
    query = select(MODELS).where(MODELS.c.id == id)
    row = connection.execute(query if reach is None else query.where(MODELS.c.organisation == reach)).mappings().first()
    return Model(**row) if row is not None else None


def models(connection: Connection, reach: str | None, after: str | None, limit: int) -> list[Model]:
    """Models in the order of their ids, newest first, from behind ``after``."""
    query = select(MODELS).order_by(MODELS.c.id.desc()).limit(limit)
    if reach is not None:
        query = query.where(MODELS.c.organisation == reach)
    if after is not None:
        query = query.where(MODELS.c.id < after)
    return [Model(**row) for row in connection.execute(query).mappings()]


def version(connection: Connection, reach: str | None, id: str) -> Version | None:
    """The version with this id within ``reach``."""
    query = select(VERSIONS).where(VERSIONS.c.id == id)
    row = connection.execute(query if reach is None else query.where(VERSIONS.c.organisation == reach)).mappings().first()
    return _version(row) if row is not None else None


def versions(connection: Connection, *, model: str | None = None, organisation: str | None = None) -> list[Version]:
    """All versions, or those of a model or an organisation, oldest first."""
    query = select(VERSIONS).order_by(VERSIONS.c.id)
    if model is not None:
        query = query.where(VERSIONS.c.model == model)
    if organisation is not None:
        query = query.where(VERSIONS.c.organisation == organisation)
    return [_version(row) for row in connection.execute(query).mappings()]


def next_number(connection: Connection, model: str) -> int:
    """The number after the last version's."""
    last = connection.execute(select(func.max(VERSIONS.c.number)).where(VERSIONS.c.model == model)).scalar()
    return int(last or 0) + 1


def trail(
    connection: Connection, reach: str | None, version: str | None, after: int, limit: int, *, model: str | None = None
) -> list[Entry]:
    """Lines in the order in which they were written, from behind ``after``."""
    query = select(AUDIT).where(AUDIT.c.id > after).order_by(AUDIT.c.id).limit(limit)
    if reach is not None:
        query = query.where(AUDIT.c.organisation == reach)
    if version is not None:
        query = query.where(AUDIT.c.version == version)
    if model is not None:
        query = query.where(AUDIT.c.model == model)
    return [Entry(**row) for row in connection.execute(query).mappings()]


def _row(version: Version) -> dict[str, Any]:
    told = msgspec.structs.asdict(version)
    return {**told, **{name: encode_json(told[name]) for name in _JSON}}


def _version(row: Any) -> Version:
    # SQLAlchemy's names of columns are a kind of text that msgspec does not take for one.
    return msgspec.convert({str(name): msgspec.json.decode(value) if name in _JSON else value for name, value in row.items()}, Version)
