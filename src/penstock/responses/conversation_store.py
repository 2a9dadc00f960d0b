"""Conversations and their items as they are kept; the SQL of them, which decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from penstock.responses.tables import CONVERSATIONS, ITEMS


class Conversation(Struct, frozen=True, kw_only=True):
    """A conversation. Times are Unix seconds; ``bytes`` are those of its items."""

    id: str
    organisation: str
    person: str | None
    created_at: float
    used_at: float
    metadata: dict[str, str]
    bytes: int

    def told(self) -> dict[str, Any]:
        """As OpenAI's API tells it."""
        return {"id": self.id, "object": "conversation", "created_at": int(self.created_at), "metadata": self.metadata}


class Item(Struct, frozen=True, kw_only=True):
    """One item, with its place in the conversation."""

    number: int
    id: str
    item: bytes


def add(connection: Connection, one: Conversation) -> None:
    """Insert a conversation."""
    values = msgspec.structs.asdict(one) | {"metadata": msgspec.json.encode(one.metadata).decode()}
    connection.execute(insert(CONVERSATIONS).values(values))


def get(connection: Connection, reach: str | None, id: str) -> Conversation | None:
    """One conversation."""
    row = connection.execute(select(CONVERSATIONS).where(*_within(reach, id))).mappings().first()
    if row is None:
        return None
    values: dict[str, Any] = {**row, "metadata": msgspec.json.decode(row["metadata"], type=dict[str, str])}
    return Conversation(**values)


def note(connection: Connection, reach: str | None, id: str, metadata: dict[str, str], now: float) -> None:
    """Replace the metadata."""
    values: dict[str, Any] = {"metadata": msgspec.json.encode(metadata).decode(), "used_at": now}
    connection.execute(update(CONVERSATIONS).where(*_within(reach, id)).values(values))


def remove(connection: Connection, reach: str | None, id: str) -> bool:
    """Delete a conversation with its items; whether there was one."""
    if connection.execute(delete(CONVERSATIONS).where(*_within(reach, id))).rowcount == 0:
        return False
    connection.execute(delete(ITEMS).where(ITEMS.c.conversation == id))
    return True


def append(connection: Connection, id: str, items: Sequence[tuple[str, bytes]], response: str | None, now: float) -> None:
    """Add items at the end, those of a response once; nothing where the conversation is gone."""
    size = sum(len(item) for _, item in items)
    touched = update(CONVERSATIONS).where(CONVERSATIONS.c.id == id).values(used_at=now, bytes=CONVERSATIONS.c.bytes + size)
    if response is not None:
        came = select(ITEMS.c.number).where(ITEMS.c.conversation == id, ITEMS.c.response == response).limit(1)
        if connection.execute(came).first() is not None:
            return
    if connection.execute(touched).rowcount == 0 or not items:
        return
    last = connection.execute(select(func.max(ITEMS.c.number)).where(ITEMS.c.conversation == id)).scalar() or 0
    rows = [
        {"conversation": id, "number": last + place, "id": name, "response": response, "item": item}
        for place, (name, item) in enumerate(items, 1)
    ]
    connection.execute(insert(ITEMS), rows)


def page(connection: Connection, id: str, after: str | None, *, newest_first: bool, most: int | None) -> list[Item] | None:
    """Items in order behind ``after``; None where there is no such item."""
    wanted: list[ColumnElement[bool]] = [ITEMS.c.conversation == id]
    if after is not None:
        found = one(connection, id, after)
        if found is None:
            return None
        wanted.append(ITEMS.c.number < found.number if newest_first else ITEMS.c.number > found.number)
    order = ITEMS.c.number.desc() if newest_first else ITEMS.c.number
    asked = select(ITEMS).where(*wanted).order_by(order)
    return [_item(row) for row in connection.execute(asked if most is None else asked.limit(most)).mappings()]


def one(connection: Connection, id: str, item: str) -> Item | None:
    """The item of this id; the last one where several came with it."""
    asked = select(ITEMS).where(ITEMS.c.conversation == id, ITEMS.c.id == item).order_by(ITEMS.c.number.desc()).limit(1)
    row = connection.execute(asked).mappings().first()
    return None if row is None else _item(row)


def take_out(connection: Connection, id: str, item: str) -> bool:
    """Delete the item of this id; whether there was one."""
    found = one(connection, id, item)
    if found is None:
        return False
    if connection.execute(delete(ITEMS).where(ITEMS.c.conversation == id, ITEMS.c.number == found.number)).rowcount == 0:
        return False  # somebody else took it out at this moment
    shrunk = update(CONVERSATIONS).where(CONVERSATIONS.c.id == id).values(bytes=CONVERSATIONS.c.bytes - len(found.item))
    connection.execute(shrunk)
    return True


def remove_unused(connection: Connection, before: float) -> int:
    """Delete conversations that were last used before then; how many."""
    unused = select(CONVERSATIONS.c.id).where(CONVERSATIONS.c.used_at < before)
    connection.execute(delete(ITEMS).where(ITEMS.c.conversation.in_(unused)))
    return connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.used_at < before)).rowcount


def _within(reach: str | None, id: str) -> tuple[ColumnElement[bool], ...]:
    mine = CONVERSATIONS.c.id == id
    return (mine,) if reach is None else (mine, CONVERSATIONS.c.organisation == reach)


def _item(row: Any) -> Item:
    return Item(number=row["number"], id=row["id"], item=bytes(row["item"]))
