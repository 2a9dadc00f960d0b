"""Prompt and reply of a call as messages of OpenTelemetry's GenAI conventions.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/ has their schema.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.observability.payloads import CONDENSED, Entry
from penstock.observability.transcript import read_condensed, read_reply, read_request
from penstock.observability.turns import Part, Transcript
from penstock.storage.telemetry.span import Payload

_encode = msgspec.json.encode
_MEDIA = frozenset({"image", "audio", "file"})


def payload_of(shape: str, entry: Entry) -> Payload | None:
    """Both sides, as messages where they can be read as such, else as the text that was kept; None for nothing."""
    asked, told = entry.request.content(), entry.reply.content()
    reply = read_condensed(told) if entry.reply.form == CONDENSED else read_reply(shape, told)
    came, went = _side(read_request(shape, asked), asked), _side(reply, told)
    return Payload(input=came, output=went) if came or went else None


def _side(read: Transcript | None, raw: bytes) -> str:
    if read is None or not read.turns:
        return raw.decode("utf-8", "replace")
    messages: list[dict[str, Any]] = []
    for turn in read.turns:
        message: dict[str, Any] = {"role": turn.role, "parts": [_part(part) for part in turn.parts]}
        if read.finish:
            message["finish_reason"] = read.finish
        messages.append(message)
    return _encode(messages).decode()


def _part(part: Part) -> dict[str, Any]:
    if part.kind in ("text", "reasoning"):
        return {"type": part.kind, "content": part.text}
    if part.kind == "tool_call":
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": _json(part.text)}
    if part.kind == "tool_result":
        return {"type": "tool_call_response", "id": part.id, "response": part.text}
    if part.kind in _MEDIA:
        return {"type": "uri", "modality": part.kind, "uri": part.media or part.name}
    return {"type": part.kind, "content": part.text}


def _json(text: str) -> Any:
    """What a model gave as arguments: JSON where it is, else the text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
