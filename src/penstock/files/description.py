"""What the routes of files take and answer, as JSON Schemas for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.files.wire import ANTHROPIC_MOST, MOST_IDS, OPENAI_MOST, OPENAI_PURPOSES, PURPOSES
from penstock.kernel.web import Description

Schema = Mapping[str, Any]
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_TEXT_OR_NONE: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": "boolean"}


def _object(what: str, **fields: Schema) -> dict[str, Any]:
    return {"type": "object", "description": what, "required": list(fields), "properties": dict(fields)}


_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "OpenAIFile": _object(
        "A file as OpenAI's API shows it.",
        id=_TEXT,
        object={"const": "file"},
        bytes=_WHOLE,
        created_at={**_WHOLE, "description": "Unix seconds."},
        expires_at={"type": ["integer", "null"], "description": "Unix seconds; null when it is kept until it is deleted."},
        filename=_TEXT,
        purpose={"enum": list(PURPOSES)},
        status={"const": "processed"},
        status_details={"type": "null"},
    ),
    "AnthropicFile": _object(
        "A file as Anthropic's API shows it.",
        type={"const": "file"},
        id=_TEXT,
        filename=_TEXT,
        mime_type=_TEXT,
        size_bytes=_WHOLE,
        created_at={**_TEXT, "format": "date-time"},
        expires_at={**_TEXT_OR_NONE, "format": "date-time"},
        downloadable=_FLAG,
    ),
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_REPLIES: Mapping[str, Schema | None] = {
    "one": {"anyOf": [_ref("OpenAIFile"), _ref("AnthropicFile")]},
    "upload": {"anyOf": [_ref("OpenAIFile"), _ref("AnthropicFile")]},
    "list": {
        "anyOf": [
            _object(
                "A page in OpenAI's shape.",
                object={"const": "list"},
                data={"type": "array", "items": _ref("OpenAIFile")},
                first_id=_TEXT_OR_NONE,
                last_id=_TEXT_OR_NONE,
                has_more=_FLAG,
            ),
            _object(
                "A page in Anthropic's shape.",
                data={"type": "array", "items": _ref("AnthropicFile")},
                has_more=_FLAG,
                first_id=_TEXT_OR_NONE,
                last_id=_TEXT_OR_NONE,
                next_page=_TEXT_OR_NONE,
            ),
        ]
    },
    "deleted": {
        "anyOf": [
            _object("In OpenAI's shape.", id=_TEXT, object={"const": "file"}, deleted={"const": True}),
            _object("In Anthropic's shape.", id=_TEXT, type={"const": "file_deleted"}),
        ]
    },
    "content": None,
}
_REQUEST: Schema = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"enum": list(OPENAI_PURPOSES), "description": "Required in OpenAI's shape."},
        "expires_after[anchor]": {"const": "created_at"},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
        "expires_in_seconds": {"type": "integer", "minimum": 3600, "maximum": 7_776_000, "description": "Anthropic's word."},
    },
}
_QUERY: Mapping[str, Schema] = {
    "after": {**_TEXT, "description": "OpenAI: the last id of the page before."},
    "limit": {"type": "integer", "minimum": 1, "maximum": OPENAI_MOST, "description": f"At most {ANTHROPIC_MOST} in Anthropic's shape."},
    "order": {"enum": ["asc", "desc"]},
    "purpose": {"enum": list(PURPOSES)},
    "after_id": {**_TEXT, "description": "Anthropic: the last id of the page before."},
    "before_id": {**_TEXT, "description": "Anthropic: the first id of the page behind."},
    "page": {**_TEXT, "description": "Anthropic: `next_page` of the page before."},
    "ids": {"type": "array", "items": _TEXT, "maxItems": MOST_IDS, "description": "Anthropic: only these."},
}
FAILURES: Mapping[str, str] = {
    "400": "The request is malformed.",
    "401": "No key, or one that is not valid.",
    "403": "The key may not call, or the organisation's files have no more room (`file_quota_exceeded`).",
    "404": "There is no such file, or not for this key.",
    "408": "The body stopped arriving.",
    "413": "The file is larger than `files.max_file_bytes`.",
    "500": "A fault of Penstock's; the operator finds it in the log under the request's id.",
    "503": "There is no room on disk, or the database does not answer.",
}
ERROR: Schema = {
    "anyOf": [
        _object(
            "A failure as OpenAI's APIs tell it.",
            error=_object("What is wrong.", message=_TEXT, type=_TEXT, param=_TEXT_OR_NONE, code=_TEXT),
        ),
        _object(
            "A failure as Anthropic's API tells it.", type={"const": "error"}, error=_object("What is wrong.", type=_TEXT, message=_TEXT)
        ),
    ]
}


def describe(what: str) -> Description:
    """One of the routes: ``upload``, ``list``, ``one``, ``content`` or ``deleted``."""
    return Description(
        request=_REQUEST if what == "upload" else None,
        reply=_REPLIES[what],
        error=ERROR,
        failures=FAILURES,
        schemas=_SCHEMAS,
        query=_QUERY if what == "list" else {},
        takes="multipart/form-data",
        others=("application/octet-stream",) if what == "content" else (),
    )
