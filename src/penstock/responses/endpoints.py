"""``/v1/responses/{id}`` in OpenAI's shape (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import structs

from penstock.kernel.errors import NotExpressible, NotFound, RequestError
from penstock.kernel.journal import JOURNAL
from penstock.kernel.vendor import Asked, VendorDoor
from penstock.kernel.web import Description, Endpoint
from penstock.responses.background import Background
from penstock.responses.replay import replay
from penstock.responses.service import ITEMS, MOST_ITEMS, ResponseService

PATH = "/v1/responses"
ONE = f"{PATH}/{{response_id}}"
_PLACE = 2


def endpoints(door: VendorDoor, service: ResponseService, background: Background) -> Sequence[Endpoint]:
    """Show, stream, delete, list the input, cancel."""

    async def show(asked: Asked) -> Any:
        id, reach = _id(asked), asked.principal.reach
        after = asked.number("starting_after", -1, 10**9 - 1, 0)
        stream = asked.choice("stream", "false", ("true", "false")) == "true"
        job = await background.get(reach, id)
        if not stream:
            return msgspec.Raw((await service.get(reach, id)).response if job is None else await background.look(job))
        events = _stored((await service.get(reach, id)).response, after) if job is None else await background.replay(job, after)
        try:
            answer = asked.answer_stream([("content-type", "text/event-stream"), ("cache-control", "no-store")])
            async for event in events:
                await answer.send_bytes(event)
        except RuntimeError:  # RSGI's word for a client that left, who may come back
            return None
        finally:
            await events.aclose()
        return None

    async def delete(asked: Asked) -> dict[str, Any]:
        id = _id(asked)
        job = await background.get(asked.principal.reach, id)
        if job is not None:
            await background.delete(asked.principal, job)
        else:
            await service.delete(asked.principal.reach, id)
        return {"id": id, "object": "response", "deleted": True}

    async def items(asked: Asked) -> dict[str, Any]:
        limit = asked.number("limit", ITEMS, MOST_ITEMS)
        newest_first = asked.choice("order", "desc", ("asc", "desc")) == "desc"
        after = asked.one("after")
        turns = await service.conversation(asked.principal.reach, _id(asked))
        found = [item for turn in turns[:-1] for item in turn.items()] + msgspec.json.decode(turns[-1].input, type=list[msgspec.Raw])
        listed = [cast("dict[str, Any]", msgspec.json.decode(item)) for item in (reversed(found) if newest_first else found)]
        if after is not None:
            places = [place for place, item in enumerate(listed) if item.get("id") == after]
            if not places:
                raise NotFound(f"there is no item {after[:80]!r}", param="after")
            listed = listed[places[0] + 1 :]
        page = listed[:limit]
        first, last = (page[0].get("id"), page[-1].get("id")) if page else (None, None)
        return {"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": len(listed) > limit}

    async def cancel(asked: Asked) -> Any:
        id = _id(asked)
        job = await background.get(asked.principal.reach, id)
        if job is None:
            await service.get(asked.principal.reach, id)
        if job is None or not job.background:
            what = "Only responses that were created with background=true can be cancelled."
            raise RequestError(what, param="response_id")
        return msgspec.Raw(await background.cancel(asked.principal, job))

    found = (
        door.endpoint("GET", f"{ONE}/input_items", items, "List what a stored response was made from.", partial(_describe, "items")),
        door.endpoint("POST", f"{ONE}/cancel", cancel, "Cancel a background response.", partial(_describe, "cancel")),
        door.endpoint("GET", ONE, show, "Show a stored response.", partial(_describe, "one")),
        door.endpoint("DELETE", ONE, delete, "Delete a stored response.", partial(_describe, "deleted")),
    )
    # A run is ended where the journal is worked on.
    return tuple(structs.replace(one, holding=JOURNAL) if one.path.endswith("/cancel") else one for one in found)


async def _stored(response: bytes, after: int) -> AsyncGenerator[bytes]:
    for event in replay(response, after):
        yield event


def _id(asked: Asked) -> str:
    if asked.anthropic:
        raise NotExpressible("stored responses are OpenAI's; Anthropic's API has no such thing")
    return asked.segment(_PLACE)


def _describe(what: str) -> Description:
    # Schemas, which only whoever asks for the document needs.
    from penstock.responses.description import describe

    return describe(what)
