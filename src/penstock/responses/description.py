"""What the routes of stored responses answer, as JSON Schemas for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.kernel.web import Description
from penstock.responses.service import MOST_ITEMS

Schema = Mapping[str, Any]
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NONE: Schema = {"type": ["string", "null"]}


def _object(what: str, **fields: Schema) -> dict[str, Any]:
    return {"type": "object", "description": what, "required": list(fields), "properties": dict(fields)}


_REPLIES: Mapping[str, Schema | None] = {
    "one": _object(
        "The response as the client got it (see POST /v1/responses).",
        id=_TEXT,
        object={"const": "response"},
        status={"enum": ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]},
        store={"const": True},
        previous_response_id=_TEXT_OR_NONE,
        output={"type": "array", "items": {"type": "object"}},
    ),
    "deleted": _object("Done.", id=_TEXT, object={"const": "response"}, deleted={"const": True}),
    "items": _object(
        "What the response was made from: earlier turns, then the input of its own.",
        object={"const": "list"},
        data={"type": "array", "items": _object("An item.", id=_TEXT, type=_TEXT)},
        first_id=_TEXT_OR_NONE,
        last_id=_TEXT_OR_NONE,
        has_more={"type": "boolean"},
    ),
    "cancel": _object(
        "The response as it stands now; one that had ended before is as it ended.",
        id=_TEXT,
        object={"const": "response"},
        status={"enum": ["completed", "incomplete", "failed", "cancelled"]},
    ),
}
_QUERY: Mapping[str, Mapping[str, Schema]] = {
    "one": {
        "stream": {"type": "boolean", "description": "Tell it as a stream of events."},
        "starting_after": {"type": "integer", "minimum": 0, "description": "In a stream: the number of the last event that is known."},
    },
    "items": {
        "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS},
        "order": {"enum": ["asc", "desc"]},
        "after": {**_TEXT, "description": "The last id of the page before."},
    },
}
_FAILURES: Mapping[str, str] = {
    "400": "The request is malformed, or asks for what this response cannot do.",
    "401": "No key, or one that is not valid.",
    "403": "The key may not call.",
    "404": "There is no such response, or not for this key.",
    "413": "The conversation is longer than `responses.max_chain_bytes`.",
    "500": "A fault of Penstock's; the operator finds it in the log under the request's id.",
    "503": "The database does not answer.",
}
_ERROR: Schema = _object(
    "A failure as OpenAI's APIs tell it.",
    error=_object("What is wrong.", message=_TEXT, type=_TEXT, param=_TEXT_OR_NONE, code=_TEXT),
)


def describe(what: str) -> Description:
    """One of the routes: ``one``, ``items``, ``deleted`` or ``cancel``."""
    return Description(
        request=None,
        reply=_REPLIES[what],
        error=_ERROR,
        failures=_FAILURES,
        schemas={},
        query=_QUERY.get(what, {}),
        event={"type": "object"} if what == "one" else None,
        ending="The last one holds the whole response.",
    )
