"""What the routes of conversations take and answer, as JSON Schemas for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.kernel.web import Description
from penstock.responses.conversation import LONGEST_NAME, LONGEST_VALUE, MOST_ADDED, MOST_METADATA
from penstock.responses.service import MOST_ITEMS

Schema = Mapping[str, Any]
_TEXT: Schema = {"type": "string"}


def _object(what: str, **fields: Schema) -> dict[str, Any]:
    return {"type": "object", "description": what, "required": list(fields), "properties": dict(fields)}


_METADATA: Schema = {
    "type": "object",
    "maxProperties": MOST_METADATA,
    "propertyNames": {"maxLength": LONGEST_NAME},
    "additionalProperties": {"type": "string", "maxLength": LONGEST_VALUE},
}
_ITEM: Schema = _object("An item as POST /v1/responses takes and gives them.", id=_TEXT, type=_TEXT)
_GIVEN: Schema = {"type": "array", "maxItems": MOST_ADDED, "items": {"type": "object", "description": "An item of an input."}}
_CONVERSATION = _object(
    "A conversation.", id=_TEXT, object={"const": "conversation"}, created_at={"type": "integer"}, metadata={"type": "object"}
)
_LIST = _object(
    "Items of the conversation.",
    object={"const": "list"},
    data={"type": "array", "items": _ITEM},
    first_id=_TEXT,
    last_id=_TEXT,
    has_more={"type": "boolean"},
)
_OR_NULL: Schema = {"type": "null"}
_BODY = {
    "type": "object",
    "properties": {"items": {"anyOf": [_GIVEN, _OR_NULL]}, "metadata": {"anyOf": [_METADATA, _OR_NULL]}},
    "additionalProperties": False,
}
_REQUESTS: Mapping[str, Schema] = {
    "create": _BODY,
    "change": _BODY,
    "add": {"type": "object", "required": ["items"], "properties": {"items": _GIVEN}, "additionalProperties": False},
}
_REPLIES: Mapping[str, Schema] = {
    "item": _ITEM,
    "items": _LIST,
    "add": _LIST,
    "deleted": _object("Done.", id=_TEXT, object={"const": "conversation.deleted"}, deleted={"const": True}),
}
_QUERY: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS},
    "order": {"enum": ["asc", "desc"]},
    "after": {**_TEXT, "description": "The last id of the page before."},
}
_FAILURES: Mapping[str, str] = {
    "400": "The request is malformed.",
    "401": "No key, or one that is not valid.",
    "403": "The key may not call.",
    "404": "There is no such conversation or item, or not for this key.",
    "408": "The body did not arrive in time.",
    "413": "The conversation would be longer than `responses.max_chain_bytes`, or the body is too long.",
    "500": "A fault of Penstock's; the operator finds it in the log under the request's id.",
    "503": "The database does not answer.",
}
_ERROR: Schema = _object(
    "A failure as OpenAI's APIs tell it.",
    error=_object("What is wrong.", message=_TEXT, type=_TEXT, param={"type": ["string", "null"]}, code=_TEXT),
)


def describe(what: str) -> Description:
    """One of the routes, by what it does."""
    return Description(
        request=_REQUESTS.get(what),
        reply=_REPLIES.get(what, _CONVERSATION),
        error=_ERROR,
        failures=_FAILURES,
        schemas={},
        query=_QUERY if what == "items" else {},
    )
