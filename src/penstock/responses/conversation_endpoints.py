"""``/v1/conversations`` in OpenAI's shape (https://platform.openai.com/docs/api-reference/conversations)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import NotExpressible
from penstock.kernel.vendor import Asked, VendorDoor
from penstock.kernel.web import Description, Endpoint
from penstock.responses.conversation import Conversations
from penstock.responses.service import ITEMS, MOST_ITEMS
from penstock.responses.settings import ResponsesSettings

PATH = "/v1/conversations"
ONE = f"{PATH}/{{conversation_id}}"
MANY_ITEMS = f"{ONE}/items"
ONE_ITEM = f"{MANY_ITEMS}/{{item_id}}"
_PLACE, _ITEM_PLACE = 2, 4


class Given(Struct, forbid_unknown_fields=True):
    """What a conversation begins with, or is changed to."""

    items: Raw = Raw(b"null")
    metadata: dict[str, str] | None = None


class Added(Struct, forbid_unknown_fields=True):
    """What is added to a conversation."""

    items: Raw


def endpoints(door: VendorDoor, conversations: Conversations, settings: ResponsesSettings) -> Sequence[Endpoint]:
    """Conversations, and their items."""
    most = settings.max_turn_bytes

    async def create(asked: Asked) -> Any:
        _ours(asked)
        given = await asked.json(Given, most)
        items = None if bytes(given.items) == b"null" else given.items
        return (await conversations.create(asked.principal, items, given.metadata or {})).told()

    async def show(asked: Asked) -> Any:
        return (await conversations.get(asked.principal.reach, _id(asked))).told()

    async def change(asked: Asked) -> Any:
        id = _id(asked)
        given = await asked.json(Given)
        return (await conversations.update(asked.principal.reach, id, given.metadata or {})).told()

    async def delete(asked: Asked) -> Any:
        id = _id(asked)
        await conversations.delete(asked.principal.reach, id)
        return {"id": id, "object": "conversation.deleted", "deleted": True}

    async def listed(asked: Asked) -> Any:
        limit = asked.number("limit", ITEMS, MOST_ITEMS)
        newest_first = asked.choice("order", "desc", ("asc", "desc")) == "desc"
        after = asked.one("after")
        found = await conversations.items(asked.principal.reach, _id(asked), after=after, newest_first=newest_first, most=limit + 1)
        return _page([Raw(one.item) for one in found[:limit]], more=len(found) > limit)

    async def add(asked: Asked) -> Any:
        id = _id(asked)
        return _page(await conversations.add(asked.principal.reach, id, (await asked.json(Added, most)).items), more=False)

    async def show_item(asked: Asked) -> Any:
        return Raw((await conversations.item(asked.principal.reach, _id(asked), asked.segment(_ITEM_PLACE))).item)

    async def delete_item(asked: Asked) -> Any:
        return (await conversations.delete_item(asked.principal.reach, _id(asked), asked.segment(_ITEM_PLACE))).told()

    return (
        door.endpoint("POST", PATH, create, "Begin a conversation.", partial(_describe, "create")),
        door.endpoint("GET", ONE_ITEM, show_item, "Show an item of a conversation.", partial(_describe, "item")),
        door.endpoint("DELETE", ONE_ITEM, delete_item, "Delete an item of a conversation.", partial(_describe, "item_deleted")),
        door.endpoint("GET", MANY_ITEMS, listed, "List the items of a conversation.", partial(_describe, "items")),
        door.endpoint("POST", MANY_ITEMS, add, "Add items to a conversation.", partial(_describe, "add")),
        door.endpoint("GET", ONE, show, "Show a conversation.", partial(_describe, "one")),
        door.endpoint("POST", ONE, change, "Change the metadata of a conversation.", partial(_describe, "change")),
        door.endpoint("DELETE", ONE, delete, "Delete a conversation with its items.", partial(_describe, "deleted")),
    )


def _ours(asked: Asked) -> None:
    if asked.anthropic:
        raise NotExpressible("conversations are OpenAI's; Anthropic's API has no such thing")


def _id(asked: Asked) -> str:
    _ours(asked)
    return asked.segment(_PLACE)


def _page(items: Sequence[Raw], *, more: bool) -> dict[str, Any]:
    ids = [msgspec.json.decode(item, type=_Named).id for item in items]
    first, last = (ids[0], ids[-1]) if ids else ("", "")
    return {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": more}


class _Named(Struct):
    id: str


def _describe(what: str) -> Description:
    # Schemas, which only whoever asks for the document needs.
    from penstock.responses.conversation_description import describe

    return describe(what)
