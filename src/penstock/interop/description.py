"""What the protocols' endpoints take and answer, for the OpenAPI document; what exactly, the protocols' own specifications say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.kernel.web import Description

Schema = Mapping[str, Any]
FAILURES: Mapping[str, str] = {
    "400": "The request is malformed.",
    "401": "No key, or one that is not valid.",
    "403": "The key may not do this.",
    "404": "There is no such thing, or not for this key.",
    "409": "The run has ended, or nobody waits for this answer any more.",
    "500": "A fault of Penstock's; the operator finds it in the log under the request's id.",
    "503": "Durable runs are not worked on here.",
}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": ["string", "integer"]}, "message": {"type": "string"}, "param": {"type": ["string", "null"]}},
        }
    },
}


def stream(request: str, *, required: tuple[str, ...], event: str, ending: str, headers: Mapping[str, Schema]) -> Description:
    """An endpoint whose good answers are all streams."""
    return Description(
        request={"type": "object", "description": request, "required": list(required)},
        reply=None,
        error=ERROR,
        failures=FAILURES,
        schemas={},
        event={"type": "object", "description": event},
        ending=ending,
        headers=headers,
    )


def events(event: str, *, ending: str, headers: Mapping[str, Schema], query: Mapping[str, Schema]) -> Description:
    """An endpoint without a body whose good answers are all streams."""
    return Description(
        request=None,
        reply=None,
        error=ERROR,
        failures=FAILURES,
        schemas={},
        event={"type": "object", "description": event},
        ending=ending,
        headers=headers,
        query=query,
    )


def plain(
    request: str | None,
    reply: str,
    *,
    required: tuple[str, ...] = (),
    event: str = "",
    headers: Mapping[str, Schema] | None = None,
) -> Description:
    """An endpoint that answers with JSON, and with events where ``event`` says what they are."""
    return Description(
        request=None if request is None else {"type": "object", "description": request, "required": list(required)},
        reply={"type": "object", "description": reply},
        error=ERROR,
        failures=FAILURES,
        schemas={},
        event={"type": "object", "description": event} if event else None,
        ending="The last one ends the answer." if event else "",
        headers=headers or {},
    )


__all__ = ["events", "plain", "stream"]
