"""Batches in Anthropic's shape, under ``/v1/messages/batches``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec import structs

from penstock.batches.intake import Requests
from penstock.batches.model import ANTHROPIC, ENDED, Batch, Status
from penstock.batches.service import Batching, Inline
from penstock.batches.settings import BatchSettings
from penstock.kernel.errors import BodyTooLarge, MalformedRequest
from penstock.kernel.journal import JOURNAL
from penstock.kernel.vendor import Asked, VendorDoor
from penstock.kernel.web import Description, Endpoint

PATH = "/v1/messages/batches"
ONE = f"{PATH}/{{message_batch_id}}"
CANCEL = f"{ONE}/cancel"
RESULTS = f"{ONE}/results"
PAGE, MOST = 20, 1000
_PLACE = 3
"""Where the id stands in the path."""
_PIECE = 1 << 18


def endpoints(door: VendorDoor, batching: Batching, settings: BatchSettings) -> Sequence[Endpoint]:
    """Make, list, show, cancel, delete, and the results."""

    async def create(asked: Asked) -> dict[str, Any]:
        return rendered(await _taken(asked, batching, settings), asked)

    async def listed(asked: Asked) -> dict[str, Any]:
        limit = asked.number("limit", PAGE, MOST)
        above, below = asked.one("before_id"), asked.one("after_id")
        if above is not None and below is not None:
            raise MalformedRequest("'before_id' and 'after_id' exclude each other.", param="before_id")
        reach = asked.principal.reach
        found = await batching.list(reach, shape=ANTHROPIC, below=below, above=above, limit=limit + 1)
        data = [rendered(b, asked) for b in (found[-limit:] if above is not None else found[:limit])]
        ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": len(found) > limit, "first_id": ends[0], "last_id": ends[1]}

    async def show(asked: Asked) -> dict[str, Any]:
        return rendered(await batching.get(asked.principal.reach, asked.segment(_PLACE), shape=ANTHROPIC), asked)

    async def cancel(asked: Asked) -> dict[str, Any]:
        return rendered(await batching.cancel(asked.principal.reach, asked.segment(_PLACE), shape=ANTHROPIC), asked)

    async def delete(asked: Asked) -> dict[str, Any]:
        id = asked.segment(_PLACE)
        await batching.delete(asked.principal.reach, id, shape=ANTHROPIC)
        return {"id": id, "type": "message_batch_deleted"}

    async def results(asked: Asked) -> None:
        pieces = await batching.results(asked.principal.reach, asked.segment(_PLACE), shape=ANTHROPIC)
        stream = asked.answer_stream([("content-type", "application/x-jsonl"), ("cache-control", "private, no-store")])
        try:
            async for piece in pieces:
                await stream.send_bytes(piece)
        except RuntimeError:  # RSGI's word for a client that left
            return

    def made(method: str, path: str, handler: Any, summary: str, what: str, holding: str = "") -> Endpoint:
        return structs.replace(door.endpoint(method, path, handler, summary, partial(_describe, what)), holding=holding)

    # The longer paths first: a name in a path stands for anything, slashes included.
    return (
        made("POST", PATH, create, "Make an Anthropic message batch of inline requests.", "create", JOURNAL),
        made("GET", PATH, listed, "List Anthropic message batches.", "list"),
        made("POST", CANCEL, cancel, "Cancel an Anthropic message batch.", "one", JOURNAL),
        made("GET", RESULTS, results, "The results of an Anthropic message batch, one JSON document a line.", "results"),
        made("GET", ONE, show, "Show an Anthropic message batch.", "one", JOURNAL),
        made("DELETE", ONE, delete, "Delete an Anthropic message batch that has ended.", "deleted"),
    )


async def _taken(asked: Asked, batching: Batching, settings: BatchSettings) -> Batch:
    declared, most = asked.declared, settings.max_body_bytes
    if declared is not None and declared > most:
        raise BodyTooLarge(f"body of {declared} bytes; batches.max_body_bytes is {most}")
    await batching.ready()
    inline = batching.inline()
    requests = Requests(settings.max_line_bytes)

    def take(piece: bytes) -> None:
        for request in requests.feed(piece):
            inline.take(request)

    held, size = bytearray(), 0
    try:
        async for piece in asked.pieces():
            size += len(piece)
            if size > most:
                raise BodyTooLarge(f"body is longer than batches.max_body_bytes ({most})")
            held += piece
            if len(held) >= _PIECE:
                part, held = bytes(held), bytearray()
                await asyncio.to_thread(take, part)
        await asyncio.to_thread(take, bytes(held))
        requests.end()
        return await batching.create_inline(asked.principal, inline)
    except BaseException:
        await _forgotten(inline)
        raise


async def _forgotten(inline: Inline) -> None:
    await asyncio.shield(asyncio.to_thread(inline.discard))


def rendered(batch: Batch, asked: Asked) -> dict[str, Any]:
    """A batch in Anthropic's words."""
    ended = batch.status in ENDED
    host = asked.header("host")
    base = f"{asked.scope.scheme}://{host}" if host else ""
    processing = batch.total - batch.done
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else ("canceling" if batch.status is Status.CANCELLING else "in_progress"),
        "request_counts": {
            # Their API counts all as processing until the batch has ended; ours says how far it is.
            "processing": 0 if ended else processing,
            "succeeded": batch.completed,
            "errored": batch.failed,
            "canceled": batch.cancelled,
            "expired": batch.expired,
        },
        "created_at": _text(batch.created_at),
        "expires_at": _text(batch.expires_at),
        "ended_at": _text(batch.ended_at),
        "cancel_initiated_at": _text(batch.cancelling_at),
        "archived_at": _text(batch.archived_at),
        "results_url": f"{base}{PATH}/{batch.id}/results" if ended and batch.archived_at is None else None,
    }


def _text(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


_TEXT: Mapping[str, Any] = {"type": "string"}
_WHEN: Mapping[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_WHOLE: Mapping[str, Any] = {"type": "integer"}
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


def _object(what: str, **fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": what, "required": list(fields), "properties": dict(fields)}


_BATCH = _object(
    "A message batch as Anthropic's API shows it.",
    id=_TEXT,
    type={"const": "message_batch"},
    processing_status={"enum": ["in_progress", "canceling", "ended"]},
    request_counts=_object("Requests by outcome.", **dict.fromkeys(_COUNTS, _WHOLE)),
    created_at={**_TEXT, "format": "date-time"},
    expires_at={**_TEXT, "format": "date-time"},
    ended_at=_WHEN,
    cancel_initiated_at=_WHEN,
    archived_at=_WHEN,
    results_url={"type": ["string", "null"], "description": "Where the results are, once the batch has ended."},
)
_REF = {"$ref": "#/components/schemas/MessageBatch"}
_NAME: Mapping[str, Any] = {"type": ["string", "null"]}
_REPLIES: Mapping[str, Mapping[str, Any] | None] = {
    "create": _REF,
    "one": _REF,
    "list": _object("A page.", data={"type": "array", "items": _REF}, has_more={"type": "boolean"}, first_id=_NAME, last_id=_NAME),
    "deleted": _object("What was deleted.", id=_TEXT, type={"const": "message_batch_deleted"}),
    "results": None,
}
_REQUEST = _object(
    "The requests; nothing else may stand beside them.",
    requests={
        "type": "array",
        "minItems": 1,
        "items": {
            **_object(
                "One request.",
                custom_id={**_TEXT, "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                params={"type": "object", "description": "As the body of a POST to /v1/messages, without `stream`."},
            ),
            "additionalProperties": False,
        },
    },
)
_FAILURES: Mapping[str, str] = {
    "400": "The request is malformed.",
    "401": "No key, or one that is not valid.",
    "403": "The key may not call.",
    "404": "There is no such batch, or not for this key, or it has no results.",
    "408": "The body stopped arriving.",
    "409": "The batch has ended, or has not ended yet.",
    "413": "The body is larger than `batches.max_body_bytes`, or a request than `batches.max_line_bytes`.",
    "500": "A fault of Penstock's; the operator finds it in the log under the request's id.",
    "503": "Durable runs are not installed or not open here, or there is no room on disk.",
}
_ERROR = _object(
    "A failure as Anthropic's API tells it.", type={"const": "error"}, error=_object("What is wrong.", type=_TEXT, message=_TEXT)
)


def _describe(what: str) -> Description:
    return Description(
        request=_REQUEST if what == "create" else None,
        reply=_REPLIES[what],
        error=_ERROR,
        failures=_FAILURES,
        schemas={"MessageBatch": _BATCH},
        query={"limit": {"type": "integer", "minimum": 1, "maximum": MOST}, "before_id": _TEXT, "after_id": _TEXT}
        if what == "list"
        else {},
        others=("application/x-jsonl",) if what == "results" else (),
    )
