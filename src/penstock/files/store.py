"""The SQL of the files; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select

from penstock.files.tables import FILES
from penstock.kernel.ports import FileInfo


def add(connection: Connection, file: FileInfo) -> None:
    """Insert one file."""
    connection.execute(insert(FILES).values({name: getattr(file, name) for name in FileInfo.__struct_fields__}))


def one(connection: Connection, reach: str | None, id: str, now: float) -> FileInfo | None:
    """The file with this id within ``reach`` that has not expired."""
    row = connection.execute(select(FILES).where(FILES.c.id == id, *_within(reach, now))).mappings().first()
    return FileInfo(**row) if row is not None else None


def remove(connection: Connection, reach: str | None, id: str, now: float) -> bool:
    """Delete the row; whether there was one."""
    return connection.execute(delete(FILES).where(FILES.c.id == id, *_within(reach, now))).rowcount > 0


def used(connection: Connection, organisation: str) -> tuple[int, int]:
    """How many files an organisation has, and their bytes; expired ones count until they are swept."""
    asked = select(func.count(), func.coalesce(func.sum(FILES.c.size), 0)).where(FILES.c.organisation == organisation)
    count, size = connection.execute(asked).one()
    return int(count), int(size)


def page(
    connection: Connection,
    reach: str | None,
    now: float,
    *,
    purpose: str | None,
    after: str | None,
    ids: Sequence[str] | None,
    newest_first: bool,
    limit: int,
) -> list[FileInfo]:
    """Files in the order of their ids, from behind ``after``."""
    where: list[ColumnElement[bool]] = list(_within(reach, now))
    if purpose is not None:
        where.append(FILES.c.purpose == purpose)
    if after is not None:
        where.append(FILES.c.id < after if newest_first else FILES.c.id > after)
    if ids is not None:
        where.append(FILES.c.id.in_(ids))
    order: Any = FILES.c.id.desc() if newest_first else FILES.c.id
    return [FileInfo(**row) for row in connection.execute(select(FILES).where(and_(*where)).order_by(order).limit(limit)).mappings()]


def expired(connection: Connection, now: float, limit: int) -> list[str]:
    """Ids of files whose time is over."""
    asked = select(FILES.c.id).where(FILES.c.expires_at <= now).order_by(FILES.c.expires_at).limit(limit)
    return list(connection.execute(asked).scalars())


def remove_expired(connection: Connection, ids: Sequence[str], now: float) -> None:
    """Delete these rows, as far as their time is over."""
    connection.execute(delete(FILES).where(FILES.c.id.in_(ids), FILES.c.expires_at <= now))


def known(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these ids have a row, expired or not."""
    return set(connection.execute(select(FILES.c.id).where(FILES.c.id.in_(ids))).scalars())


def totals(connection: Connection) -> tuple[int, int]:
    """Files and bytes of all organisations."""
    count, size = connection.execute(select(func.count(), func.coalesce(func.sum(FILES.c.size), 0))).one()
    return int(count), int(size)


def _within(reach: str | None, now: float) -> tuple[ColumnElement[bool], ...]:
    alive = or_(FILES.c.expires_at.is_(None), FILES.c.expires_at > now)
    return (alive,) if reach is None else (alive, FILES.c.organisation == reach)
