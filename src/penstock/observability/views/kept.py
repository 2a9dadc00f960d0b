"""Keeps views, and knows who may see and remove them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from msgspec import Meta, Struct
from sqlalchemy import Boolean, Column, Connection, Double, Index, Table, Text, and_, delete, func, insert, or_, select

from penstock.kernel.errors import Forbidden, MalformedRequest, NotFound
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal, Scope
from penstock.observability.tables import METADATA
from penstock.storage.records import Records

MOST = 200
"""Views that one owner may keep."""

console_views = Table(
    "console_views",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("owner", Text, nullable=False),  # a person's id or, where the key has none, the key's
    Column("shared", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),  # of a page: /console/health
    Column("query", Text, nullable=False),  # without the question mark
    Column("created_at", Double, nullable=False),  # Unix seconds
)
Index("ix_console_views_path", console_views.c.organisation, console_views.c.path)


class NewView(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page's address to keep. ``path`` is of a console page, ``query`` what stands behind its question mark; ``shared`` shows the view to
    everybody of the organisation."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    path: Annotated[str, Meta(pattern=r"^/console/[A-Za-z0-9/._~-]*$", max_length=200)]
    query: Annotated[str, Meta(max_length=4000)] = ""
    shared: bool = False


class View(Struct, frozen=True, kw_only=True):
    """A kept view. ``href`` is its address, ``own`` whether the reader made it, ``removable`` whether they may remove it."""

    id: str
    name: str
    path: str
    query: str
    href: str
    shared: bool
    own: bool
    removable: bool
    created_at: float


class Views:
    """Views of organisations. A reader sees their own and the shared ones of their organisation, and nothing of any other."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def all(self, reader: Principal, path: str = "") -> list[View]:
        """The views that the reader sees, of one page or of all, by name."""

        def work(connection: Connection) -> Sequence[Mapping[str, Any]]:
            mine = [_seen(reader), *([console_views.c.path == path] if path else [])]
            asked = select(console_views).where(*mine).order_by(func.lower(console_views.c.name), console_views.c.id)
            return [dict(row) for row in connection.execute(asked).mappings()]

        return [_view(row, reader) for row in await self._records.read(work)]

    async def keep(self, reader: Principal, new: NewView) -> View:
        """Keep a view. Raises `MalformedRequest` for an address that is none, or when the reader has `MOST`."""
        if "//" in new.path or ".." in new.path or not new.name.strip():
            raise MalformedRequest("a view has a name and the path of a console page", param="path" if new.name.strip() else "name")
        row: dict[str, Any] = {
            "id": new_id("view"),
            "organisation": reader.organisation,
            "owner": _owner(reader),
            "shared": new.shared,
            "name": " ".join(new.name.split()),
            "path": new.path,
            "query": written(new.query),
            "created_at": time.time(),
        }

        def work(connection: Connection) -> None:
            mine = and_(console_views.c.organisation == reader.organisation, console_views.c.owner == row["owner"])
            if (connection.execute(select(func.count()).where(mine)).scalar() or 0) >= MOST:
                raise MalformedRequest(f"{MOST} views are kept already; remove one first", param="name")
            connection.execute(insert(console_views).values(row))

        await self._records.write(work)
        return _view(row, reader)

    async def remove(self, reader: Principal, id: str) -> None:
        """Remove a view. Raises `NotFound` for one that the reader does not see, `Forbidden` for another's."""

        def work(connection: Connection) -> None:
            row = connection.execute(select(console_views).where(_seen(reader), console_views.c.id == id)).mappings().first()
            if row is None:
                raise NotFound(f"no view {id[:100]!r}")
            if not _view(dict(row), reader).removable:
                raise Forbidden("only who made a view, or an admin, may remove it")
            connection.execute(delete(console_views).where(console_views.c.id == id))

        await self._records.write(work)


def written(query: str) -> str:
    """A query as addresses write it, without what is empty."""
    return urlencode([(name, value) for name, value in parse_qsl(query.removeprefix("?")) if value])


def _owner(reader: Principal) -> str:
    return reader.person or reader.key_id


def _seen(reader: Principal) -> Any:
    return and_(
        console_views.c.organisation == reader.organisation,
        or_(console_views.c.shared, console_views.c.owner == _owner(reader)),
    )


def _view(row: Mapping[str, Any], reader: Principal) -> View:
    own = row["owner"] == _owner(reader)
    return View(
        id=row["id"],
        name=row["name"],
        path=row["path"],
        query=row["query"],
        href=row["path"] + (f"?{row['query']}" if row["query"] else ""),
        shared=bool(row["shared"]),
        own=own,
        removable=own or Scope.ADMIN in reader.scopes,
        created_at=row["created_at"],
    )
