"""Conversations: items that responses are made with and leave behind, under an id that lasts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw
from sqlalchemy import Connection

from penstock.kernel.errors import BodyTooLarge, MalformedRequest, NotFound
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.responses import conversation_store as store
from penstock.responses.conversation_store import Conversation, Item
from penstock.responses.settings import ResponsesSettings
from penstock.responses.turn import input_items
from penstock.storage.records import Records

ID = re.compile(r"conv_ps[0-9a-f]{32}")
MOST_ADDED = 20
"""Items that may be added at once, as OpenAI has it; a response adds as many as it has."""
LONGEST_ID = 512
"""Of an item; one whose id is longer, or can be kept in no database, is given another."""
MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512


class Conversations:
    """Keeps conversations. What lies beyond a reach is not found."""

    def __init__(self, records: Records, settings: ResponsesSettings, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._settings = settings
        self._clock = clock

    async def create(self, principal: Principal, items: Raw | None, metadata: dict[str, str]) -> Conversation:
        """Begin one. Raises `MalformedRequest` for items or metadata that cannot be."""
        now = self._clock()
        id = f"conv_ps{new_id('').removeprefix('_')}"
        given = read_items(items, id) if items is not None else []
        made = Conversation(
            id=id,
            organisation=principal.organisation,
            person=principal.person,
            created_at=now,
            used_at=now,
            metadata=checked(metadata),
            bytes=0,
        )

        def write(connection: Connection) -> None:
            store.add(connection, made)
            store.append(connection, id, given, None, now)

        await self._records.write(write)
        return made

    async def get(self, reach: str | None, id: str) -> Conversation:
        """One. Raises `NotFound`."""
        found = await self._records.read(lambda c: store.get(c, reach, id)) if ID.fullmatch(id) is not None else None
        if found is None:
            raise missing(id)
        return found

    async def update(self, reach: str | None, id: str, metadata: dict[str, str]) -> Conversation:
        """Replace its metadata."""
        told = checked(metadata)

        def write(connection: Connection) -> Conversation | None:
            store.note(connection, reach, id, told, self._clock())
            return store.get(connection, reach, id)

        found = await self._records.write(write)
        if found is None:
            raise missing(id)
        return found

    async def delete(self, reach: str | None, id: str) -> None:
        """Delete it with its items."""
        if not await self._records.write(lambda c: store.remove(c, reach, id)):
            raise missing(id)

    async def add(self, reach: str | None, id: str, items: Raw) -> list[Raw]:
        """Add items at the end; as they are kept. Raises `BodyTooLarge` where the conversation could not be gone on with any more."""
        given = read_items(items, id)
        size, most = sum(len(bytes(item)) for _, item in given), self._settings.max_chain_bytes

        def write(connection: Connection) -> bool:
            found = store.get(connection, reach, id)
            if found is None:
                return False
            if found.bytes + size > most:
                raise BodyTooLarge(f"the conversation would be longer than responses.max_chain_bytes ({most})", param="items")
            store.append(connection, id, given, None, self._clock())
            return True

        if not await self._records.write(write):
            raise missing(id)
        return [Raw(item) for _, item in given]

    async def items(self, reach: str | None, id: str, *, after: str | None, newest_first: bool, most: int) -> list[Item]:
        """Items behind the one named ``after``, at most so many."""
        await self.get(reach, id)
        named = after is None or "\0" not in after  # which no database holds in a text
        found = await self._records.read(lambda c: store.page(c, id, after, newest_first=newest_first, most=most)) if named else None
        if found is None:
            raise NotFound(f"there is no item {str(after)[:80]!r}", param="after")
        return found

    async def item(self, reach: str | None, id: str, item: str) -> Item:
        """One item."""
        await self.get(reach, id)
        found = None if "\0" in item else await self._records.read(lambda c: store.one(c, id, item))
        if found is None:
            raise NotFound(f"there is no item {item[:80]!r} in conversation {id}", param="item_id")
        return found

    async def delete_item(self, reach: str | None, id: str, item: str) -> Conversation:
        """Take one item out; the conversation."""
        found = await self.get(reach, id)
        if "\0" in item or not await self._records.write(lambda c: store.take_out(c, id, item)):
            raise NotFound(f"there is no item {item[:80]!r} in conversation {id}", param="item_id")
        return found

    async def said(self, reach: str | None, id: str) -> list[Raw]:
        """All items in order, for a response that goes on with it. Raises `BodyTooLarge` where they are more than may be followed."""
        found = await self.get(reach, id)
        most = self._settings.max_chain_bytes
        if found.bytes > most:
            raise BodyTooLarge(f"the conversation is longer than responses.max_chain_bytes ({most})", param="conversation")
        return [Raw(one.item) for one in await self._records.read(lambda c: store.page(c, id, None, newest_first=False, most=None)) or ()]

    async def keep(self, id: str, response: str, items: Sequence[Raw]) -> None:
        """Add what a response was made from and has said, once. A conversation that was deleted meanwhile stays deleted."""
        given = named(items, id)
        await self._records.write(lambda c: store.append(c, id, given, response, self._clock()))

    async def expire(self) -> int:
        """Remove those that nobody used for long enough; how many."""
        before = self._clock() - self._settings.conversation_days * 86_400
        return await self._records.write(lambda c: store.remove_unused(c, before))


def missing(id: str) -> NotFound:
    """What is said of a conversation that is not there, or not for this caller."""
    return NotFound(f"there is no conversation {id[:80]!r}", param="conversation")


def read_items(given: Raw, of: str) -> list[tuple[str, bytes]]:
    """Items of a request with their ids. Raises `MalformedRequest`."""
    own = input_items(given, new_id(of)) if bytes(given)[:1] == b"[" else None
    if own is None:
        raise MalformedRequest("'items' must be a list of objects.", param="items")
    items = named(msgspec.json.decode(own, type=list[Raw]), of)
    if len(items) > MOST_ADDED:
        raise MalformedRequest(f"At most {MOST_ADDED} items may be added at once.", param="items")
    return items


def named(items: Sequence[Raw], of: str) -> list[tuple[str, bytes]]:
    """Items with ids of their own, and the status that a kept message has."""
    found: list[tuple[str, bytes]] = []
    for item in items:
        value = msgspec.json.decode(item, type=dict[str, Any])
        id = value.get("id")
        if not isinstance(id, str) or not id or len(id) > LONGEST_ID or "\0" in id:
            id = value["id"] = new_id("item")
        if value.get("type") == "message":
            value.setdefault("status", "completed")
        found.append((id, msgspec.json.encode(value)))
    return found


def checked(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata within OpenAI's bounds. Raises `MalformedRequest`."""
    if len(metadata) > MOST_METADATA:
        raise MalformedRequest(f"'metadata' may hold at most {MOST_METADATA} pairs.", param="metadata")
    for name, value in metadata.items():
        if len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise MalformedRequest(
                f"'metadata': a name has at most {LONGEST_NAME} characters and a value {LONGEST_VALUE}.", param="metadata"
            )
    return metadata
