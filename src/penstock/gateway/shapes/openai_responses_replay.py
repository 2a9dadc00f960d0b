"""A response of OpenAI's that is kept, said the other way: a stream's last event holds it whole, and a whole one can be told as a stream.

Nothing is lost either way, since what both end with is the response itself, byte for byte as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes.sse import EventCutter, data_of, event
from penstock.kernel.errors import UpstreamMalformed

ENDED = ("completed", "incomplete")


class _Event(Struct):
    type: str = ""
    response: Raw = Raw(b"")


class _Part(Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""


class _Item(Struct):
    type: str = ""
    content: list[_Part] | None = None


class _Incomplete(Struct):
    reason: str = ""


class Response(Struct):
    """What must be known of a response: how it ended, and what came out."""

    status: str = ""
    incomplete_details: _Incomplete | None = None
    output: list[_Item] = []

    @property
    def filtered(self) -> bool:
        """Whether a filter ended it, or the model refused."""
        details = self.incomplete_details
        refused = any(part.type == "refusal" for item in self.output for part in item.content or ())
        return refused or (details is not None and details.reason == "content_filter")

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(part.text for item in self.output if item.type == "message" for part in item.content or ())

    @property
    def tools(self) -> bool:
        """Whether anything was called."""
        return any(item.type.endswith("_call") for item in self.output)


def read(body: bytes) -> Response:
    """A whole response. Raises `UpstreamMalformed`."""
    try:
        return msgspec.json.decode(body, type=Response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("what is kept is no response") from fault


def whole(stream: bytes) -> bytes:
    """The response that a stream ends with. Raises `UpstreamMalformed` when it has no such end."""
    cutter = EventCutter()
    for piece in (cutter.feed(stream) + cutter.close()).split(b"\n\n")[::-1]:
        data = data_of(piece.strip(b"\n") + b"\n")
        if data is None:
            continue
        try:
            found = msgspec.json.decode(data, type=_Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("what is kept holds an event that is none") from fault
        if found.type in [f"response.{word}" for word in ENDED]:
            return bytes(found.response)
    raise UpstreamMalformed("what is kept is no stream of a response that ended")


def stream(body: bytes) -> bytes:
    """The events that tell a whole response. Raises `UpstreamMalformed`."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Raw])
        items = msgspec.json.decode(fields.get("output", Raw(b"[]")), type=list[dict[str, Any]])
        status = msgspec.json.decode(fields["status"], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as fault:
        raise UpstreamMalformed("what is kept is no response") from fault
    if status not in ENDED:
        raise UpstreamMalformed("what is kept is no response that ended")
    begun: dict[str, Any] = {**fields, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
    for index, item in enumerate(items):
        events += _item(item, index)
    events.append((f"response.{status}", {"response": fields}))
    return b"".join(
        event(msgspec.json.encode({"type": kind, "sequence_number": number, **more}), kind.encode())
        for number, (kind, more) in enumerate(events)
    )


def _item(item: dict[str, Any], index: int) -> Iterator[tuple[str, dict[str, Any]]]:
    place = {"item_id": item.get("id", ""), "output_index": index}
    begun = {**item, "status": "in_progress"} if "status" in item else dict(item)
    parts = cast("list[dict[str, Any]]", item.get("content") or [])
    spoken = item.get("type") == "message" and isinstance(item.get("content"), list)
    called = item.get("type") == "function_call"
    if spoken:
        begun["content"] = []
    if called:
        begun["arguments"] = ""
    yield "response.output_item.added", {"output_index": index, "item": begun}
    if spoken:
        for number, part in enumerate(parts):
            yield from _part(part, {**place, "content_index": number})
    if called:
        yield "response.function_call_arguments.delta", {**place, "delta": item.get("arguments", "")}
        more = {"name": item.get("name", ""), "arguments": item.get("arguments", "")}
        yield "response.function_call_arguments.done", {**place, **more}
    yield "response.output_item.done", {"output_index": index, "item": item}


def _part(part: dict[str, Any], place: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    said = {"output_text": ("output_text", "text"), "refusal": ("refusal", "refusal")}.get(str(part.get("type")))
    if said is None:
        yield "response.content_part.added", {**place, "part": part}
    else:
        kind, field = said
        begun: dict[str, Any] = {**part, field: "", **({"annotations": []} if kind == "output_text" else {})}
        logprobs: dict[str, Any] = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
        yield "response.content_part.added", {**place, "part": begun}
        yield f"response.{kind}.delta", {**place, "delta": part.get(field, ""), **logprobs}
        for number, annotation in enumerate(part.get("annotations") or ()):
            yield "response.output_text.annotation.added", {**place, "annotation_index": number, "annotation": annotation}
        yield f"response.{kind}.done", {**place, field: part.get(field, ""), **logprobs}
    yield "response.content_part.done", {**place, "part": part}
