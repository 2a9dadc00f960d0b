"""The stream of a stored response, told again from its end: each text in one piece, in the order that the SDKs expect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec


def replay(response: bytes, after: int = -1) -> Iterator[bytes]:
    """The events whose number is higher than ``after``."""
    for number, (kind, fields) in enumerate(_events(msgspec.json.decode(response))):
        if number > after:
            data = msgspec.json.encode({"type": kind, "sequence_number": number, **fields})
            yield b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def _events(response: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    begun: dict[str, Any] = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(cast("list[dict[str, Any]]", response.get("output") or [])):
        yield from item_events(index, item)
    status = response.get("status", "completed")
    if status != "cancelled":  # of which the API has no event
        yield f"response.{status}", {"response": response}


def item_events(index: int, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An item that is there whole, as a stream tells it: its type and fields, event by event."""
    empty = {**item, "status": "in_progress"} if "status" in item else dict(item)
    kind = item.get("type")
    if kind in ("message", "reasoning") and "content" in item:
        empty["content"] = []
    if kind == "function_call":
        empty["arguments"] = ""
    yield "response.output_item.added", {"output_index": index, "item": empty}
    place = {"item_id": item.get("id"), "output_index": index}
    if kind == "message":
        for number, part in enumerate(cast("list[dict[str, Any]]", item.get("content") or [])):
            yield from _part({**place, "content_index": number}, part)
    elif kind == "function_call":
        arguments = item.get("arguments", "")
        yield "response.function_call_arguments.delta", {**place, "delta": arguments}
        yield "response.function_call_arguments.done", {**place, "name": item.get("name"), "arguments": arguments}
    yield "response.output_item.done", {"output_index": index, "item": item}


def _part(place: dict[str, Any], part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    refusal = part.get("type") == "refusal"
    field, name = ("refusal", "response.refusal") if refusal else ("text", "response.output_text")
    text = part.get(field, "")
    more: dict[str, Any] = {} if refusal else {"logprobs": []}
    yield "response.content_part.added", {**place, "part": {**part, field: ""}}
    yield f"{name}.delta", {**place, "delta": text, **more}
    yield f"{name}.done", {**place, field: text, **more}
    yield "response.content_part.done", {**place, "part": part}
