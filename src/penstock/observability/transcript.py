"""A recorded body as people read it: turns of parts, whatever the wire shape; and streams put together again.

Tolerant on purpose: it shows what came over the wire, also what is wrong with it. What cannot be read as its shape gives None, and the
reader is shown the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from penstock.observability import google_transcript, transcript_plain
from penstock.observability.turns import JsonMap, Part, Transcript, Turn
from penstock.observability.turns import as_map as _map
from penstock.observability.turns import as_maps as _maps
from penstock.observability.turns import block_of as _block
from penstock.observability.turns import content_of as _content
from penstock.observability.turns import settings_of as _settings
from penstock.observability.turns import text as _text


def read_request(shape: str, body: bytes) -> Transcript | None:
    """The request as turns, None when it is not JSON of a known shape."""
    return _read(_REQUESTS.get(_family(shape)), body)


def read_reply(shape: str, body: bytes) -> Transcript | None:
    """The whole (not streamed) reply as turns, None when it is not JSON of a known shape."""
    return _read(_REPLIES.get(_family(shape)), body)


def read_condensed(body: bytes) -> Transcript | None:
    """What `condense` made, None when it was cut off."""
    try:
        return msgspec.json.decode(body, type=Transcript)
    except msgspec.DecodeError:
        return None


def condense(shape: str, stream: bytes) -> bytes | None:
    """A server-sent event stream put together into the JSON of a `Transcript`; None when it is not one of a known shape."""
    gather = _STREAMS.get(_family(shape))
    if gather is None:
        return None
    try:
        found = gather(_events(stream))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return msgspec.json.encode(found) if found is not None else None


def _family(shape: str) -> str:
    # Counting takes what the messages API takes.
    return "anthropic.messages" if shape.startswith("anthropic.") else shape


def _read(reader: Callable[[JsonMap], Transcript] | None, body: bytes) -> Transcript | None:
    if reader is None:
        return None
    try:
        tree = msgspec.json.decode(body)
        return reader(cast("JsonMap", tree)) if isinstance(tree, dict) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


# ---- openai.chat


def _chat_turn(message: JsonMap) -> Turn:
    role = _text(message.get("role")) or "assistant"
    reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
    parts = [Part("reasoning", reasoning)] if reasoning else []
    if role == "tool":
        text = "\n".join(part.text for part in _content(message.get("content")))
        return Turn(role, [Part("tool_result", text, _text(message.get("name")), _text(message.get("tool_call_id")))])
    parts += _content(message.get("content"))
    if message.get("refusal"):
        parts.append(Part("refusal", _text(message.get("refusal"))))
    for call in _maps(message.get("tool_calls")):
        function = _map(call.get("function"))
        parts.append(Part("tool_call", _text(function.get("arguments")), _text(function.get("name")), _text(call.get("id"))))
    return Turn(role, parts)


def _chat_request(tree: JsonMap) -> Transcript:
    tools = [_text(_map(tool.get("function")).get("name") or tool.get("name")) for tool in _maps(tree.get("tools"))]
    return Transcript([_chat_turn(m) for m in _maps(tree.get("messages"))], tools=tools, settings=_settings(tree, "messages", "tools"))


def _chat_reply(tree: JsonMap) -> Transcript:
    choices = _maps(tree.get("choices"))
    finish = ", ".join(_text(choice.get("finish_reason")) for choice in choices if choice.get("finish_reason"))
    return Transcript([_chat_turn(_map(choice.get("message"))) for choice in choices], finish)


# ---- openai.responses


def _responses_turn(item: JsonMap) -> Turn:
    match item.get("type"):
        case "function_call" | "custom_tool_call":
            text = _text(item.get("arguments") if "arguments" in item else item.get("input"))
            return Turn("assistant", [Part("tool_call", text, _text(item.get("name")), _text(item.get("call_id")))])
        case "function_call_output" | "custom_tool_call_output":
            return Turn("tool", [Part("tool_result", _text(item.get("output")), id=_text(item.get("call_id")))])
        case "reasoning":
            parts = _content(item.get("summary")) + _content(item.get("content"))
            return Turn("assistant", [Part("reasoning", part.text) for part in parts])
        case "message" | None:
            return Turn(_text(item.get("role")) or "assistant", _content(item.get("content")))
        case other:
            return Turn("assistant", [Part("other", _text(item), name=_text(other))])


def _responses_request(tree: JsonMap) -> Transcript:
    turns = [Turn("system", [Part("text", _text(tree["instructions"]))])] if tree.get("instructions") else []
    given = tree.get("input")
    turns += [Turn("user", _content(given))] if isinstance(given, str) else [_responses_turn(item) for item in _maps(given)]
    tools = [_text(tool.get("name") or tool.get("type")) for tool in _maps(tree.get("tools"))]
    return Transcript(turns, tools=tools, settings=_settings(tree, "input", "instructions", "tools"))


def _responses_reply(tree: JsonMap) -> Transcript:
    reason = _text(_map(tree.get("incomplete_details")).get("reason"))
    return Transcript([_responses_turn(item) for item in _maps(tree.get("output"))], reason or _text(tree.get("status")))


# ---- anthropic.messages


def _anthropic_request(tree: JsonMap) -> Transcript:
    turns = [Turn("system", _content(tree["system"]))] if tree.get("system") else []
    turns += [Turn(_text(m.get("role")), _content(m.get("content"))) for m in _maps(tree.get("messages"))]
    tools = [_text(tool.get("name")) for tool in _maps(tree.get("tools"))]
    return Transcript(turns, tools=tools, settings=_settings(tree, "messages", "system", "tools"))


def _anthropic_reply(tree: JsonMap) -> Transcript:
    return Transcript([Turn(_text(tree.get("role")) or "assistant", _content(tree.get("content")))], _text(tree.get("stop_reason")))


# ---- streams


def _events(stream: bytes) -> Iterator[bytes]:
    # What follows the last line break is half an event: the stream was cut off there, by its reader or by what is kept of it.
    for line in stream[: stream.rfind(b"\n") + 1].split(b"\n"):
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if data and data != b"[DONE]":
                yield data


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolDelta(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolDelta] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_chunk = msgspec.json.Decoder(_Chunk).decode


class _Gathered:
    """Parts that grow: text by kind and index, tool calls by index."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], tuple[Part, list[str]]] = {}

    def add(self, kind: str, index: int, text: str, name: str = "", id: str = "") -> None:
        found = self._parts.get((kind, index))
        if found is None:
            found = self._parts[kind, index] = (Part(kind), [])
        part, texts = found
        texts.append(text)
        part.name = part.name or name
        part.id = part.id or id

    def parts(self) -> list[Part]:
        for part, texts in self._parts.values():
            part.text = "".join(texts)
        return [part for part, _ in self._parts.values()]


def _chat_stream(events: Iterator[bytes]) -> Transcript | None:
    turns: dict[int, _Gathered] = {}
    finish = ""
    for data in events:
        for choice in _chunk(data).choices or ():
            gathered = turns.setdefault(choice.index, _Gathered())
            finish = choice.finish_reason or finish
            delta = choice.delta
            if delta is None:
                continue
            if delta.content:
                gathered.add("text", 0, delta.content)
            if delta.reasoning_content or delta.reasoning:
                gathered.add("reasoning", 0, delta.reasoning_content or delta.reasoning or "")
            if delta.refusal:
                gathered.add("refusal", 0, delta.refusal)
            for tool in delta.tool_calls or ():
                function = tool.function or _Function()
                gathered.add("tool_call", tool.index, function.arguments or "", function.name or "", tool.id or "")
    if not turns:
        return None
    return Transcript([Turn("assistant", gathered.parts()) for _, gathered in sorted(turns.items())], finish)


def _responses_stream(events: Iterator[bytes]) -> Transcript | None:
    gathered = _Gathered()
    seen = False
    for data in events:
        event = _map(msgspec.json.decode(data))
        kind = _text(event.get("type"))
        if kind in {"response.completed", "response.incomplete", "response.failed"}:
            return _responses_reply(_map(event.get("response")))
        at = event.get("output_index")
        index = at if isinstance(at, int) else 0
        item = _map(event.get("item"))
        if kind == "response.output_item.added" and item.get("type") == "function_call":
            gathered.add("tool_call", index, "", _text(item.get("name")), _text(item.get("call_id")))
        elif kind == "response.function_call_arguments.delta":
            gathered.add("tool_call", index, _text(event.get("delta")))
        elif kind.endswith(".delta"):
            gathered.add("reasoning" if "reasoning" in kind else "text", index, _text(event.get("delta")))
        seen = seen or kind.startswith("response.")
    return Transcript([Turn("assistant", gathered.parts())], "") if seen else None


def _anthropic_stream(events: Iterator[bytes]) -> Transcript | None:
    gathered = _Gathered()
    kinds: dict[int, str] = {}
    finish = ""
    seen = False
    for data in events:
        event = _map(msgspec.json.decode(data))
        seen = seen or "type" in event
        at = event.get("index")
        index = at if isinstance(at, int) else 0
        match event.get("type"):
            case "content_block_start":
                part = _block(_map(event.get("content_block")))
                kinds[index] = part.kind
                gathered.add(part.kind, index, "" if part.text == "{}" else part.text, part.name, part.id)
            case "content_block_delta":
                delta = _map(event.get("delta"))
                text = delta.get("text") or delta.get("partial_json") or delta.get("thinking")
                if text:
                    gathered.add(kinds.get(index, "text"), index, _text(text))
            case "message_delta":
                finish = _text(_map(event.get("delta")).get("stop_reason")) or finish
            case _:
                pass
    return Transcript([Turn("assistant", gathered.parts())], finish) if seen else None


_REQUESTS: dict[str, Callable[[JsonMap], Transcript]] = {
    **transcript_plain.REQUESTS,
    "openai.chat": _chat_request,
    "openai.responses": _responses_request,
    "anthropic.messages": _anthropic_request,
    "google.generate": google_transcript.request,
    "google.count_tokens": google_transcript.count,
    "google.embed": google_transcript.embedding,
    "google.batch_embed": google_transcript.embeddings,
}
_REPLIES: dict[str, Callable[[JsonMap], Transcript]] = {
    **transcript_plain.REPLIES,
    "openai.chat": _chat_reply,
    "openai.responses": _responses_reply,
    "anthropic.messages": _anthropic_reply,
    "google.generate": google_transcript.reply,
}
_STREAMS: dict[str, Callable[[Iterator[bytes]], Transcript | None]] = {
    **transcript_plain.STREAMS,
    "openai.chat": _chat_stream,
    "openai.responses": _responses_stream,
    "anthropic.messages": _anthropic_stream,
    "google.generate": google_transcript.stream,
}
