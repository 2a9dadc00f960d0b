"""A recorded body as people read it: turns of parts, whatever the wire shape; and streams put together again.

Tolerant on purpose: it shows what came over the wire, also what is wrong with it. What cannot be read as its shape gives None, and the
reader is shown the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec

JsonMap = dict[str, Any]


class Part(msgspec.Struct, omit_defaults=True):
    """A piece of a turn. ``kind``: text, reasoning, refusal, image, audio, file, tool_call, tool_result, or other.

    ``text`` is what is read (arguments of a tool call, result of a tool), ``name`` the tool or file, ``id`` the tool call's id, ``media``
    the media type or address of something that is not text; the data itself is never in here.
    """

    kind: str
    text: str = ""
    name: str = ""
    id: str = ""
    media: str = ""


class Turn(msgspec.Struct, omit_defaults=True):
    """What one side said: ``role`` is system, developer, user, assistant, tool, or whatever the body says."""

    role: str
    parts: list[Part] = []


class Transcript(msgspec.Struct, omit_defaults=True):
    """One direction of a call. ``finish``: why the reply ended, ``tools``: which tools were offered, ``settings``: what else was asked."""

    turns: list[Turn] = []
    finish: str = ""
    tools: list[str] = []
    settings: dict[str, str] = {}


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


# ---- small readers of loose JSON


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _map(value: object) -> JsonMap:
    return cast("JsonMap", value) if isinstance(value, dict) else {}


def _maps(value: object) -> list[JsonMap]:
    return [_map(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def _settings(tree: JsonMap, *left_out: str) -> dict[str, str]:
    return {name: _text(value) for name, value in tree.items() if name not in left_out and not isinstance(value, list)}


def _media(url: str) -> str:
    return url.split(",", 1)[0] + ",…" if url.startswith("data:") else url


def _content(value: object) -> list[Part]:
    if isinstance(value, str):
        return [Part("text", value)] if value else []
    return [_block(block) for block in _maps(value)]


def _block(block: JsonMap) -> Part:
    kind = _text(block.get("type"))
    match kind:
        case "text" | "input_text" | "output_text" | "summary_text" | "reasoning_text":
            return Part("reasoning" if "reasoning" in kind or "summary" in kind else "text", _text(block.get("text")))
        case "thinking":
            return Part("reasoning", _text(block.get("thinking")))
        case "redacted_thinking":
            return Part("reasoning", "(withheld by the provider)")
        case "refusal":
            return Part("refusal", _text(block.get("refusal")))
        case "image_url" | "input_image":
            url = block.get("image_url")
            return Part("image", media=_media(_text(_map(url).get("url") or url)))
        case "image" | "document":
            source = _map(block.get("source"))
            media = _text(source.get("url") or source.get("media_type") or source.get("file_id"))
            shown = _text(source.get("data")) if source.get("type") == "text" else ""
            return Part("image" if kind == "image" else "file", shown, name=_text(block.get("title")), media=media)
        case "input_audio":
            return Part("audio", media=_text(_map(block.get("input_audio")).get("format")))
        case "file" | "input_file":
            file = _map(block.get("file")) or block
            name = _text(file.get("filename") or file.get("file_id"))
            return Part("file", name=name, media=_media(_text(file.get("file_data") or file.get("file_url"))))
        case "tool_use" | "server_tool_use":
            return Part("tool_call", _text(block.get("input")), _text(block.get("name")), _text(block.get("id")))
        case "tool_result":
            inner = block.get("content")
            text = inner if isinstance(inner, str) else "\n".join(part.text or f"[{part.kind}]" for part in _content(inner))
            return Part("tool_result", text, id=_text(block.get("tool_use_id")))
        case _:
            return Part("other", _text(block), name=kind)


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


def _embeddings_request(tree: JsonMap) -> Transcript:
    given = tree.get("input")
    texts = cast("list[object]", given) if isinstance(given, list) else [given]
    return Transcript([Turn("user", [Part("text", _text(text))]) for text in texts], settings=_settings(tree, "input"))


# ---- moderations


def _moderations_request(tree: JsonMap) -> Transcript:
    given = tree.get("input")
    if isinstance(given, list) and all(isinstance(item, dict) for item in cast("list[object]", given)):
        return Transcript([Turn("user", [_block(part) for part in _maps(cast("object", given))])], settings=_settings(tree, "input"))
    return _embeddings_request(tree)


def _moderations_reply(tree: JsonMap) -> Transcript:
    turns: list[Turn] = []
    for result in _maps(tree.get("results")):
        flags = [name for name, flag in _map(result.get("categories")).items() if flag is True]
        turns.append(Turn("assistant", [Part("text", "flagged: " + ", ".join(flags) if flags else "not flagged")]))
    return Transcript(turns)


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
    "openai.chat": _chat_request,
    "openai.responses": _responses_request,
    "openai.embeddings": _embeddings_request,
    "openai.moderations": _moderations_request,
    "anthropic.messages": _anthropic_request,
}
_REPLIES: dict[str, Callable[[JsonMap], Transcript]] = {
    "openai.chat": _chat_reply,
    "openai.responses": _responses_reply,
    "openai.moderations": _moderations_reply,
    "anthropic.messages": _anthropic_reply,
}
_STREAMS: dict[str, Callable[[Iterator[bytes]], Transcript | None]] = {
    "openai.chat": _chat_stream,
    "openai.responses": _responses_stream,
    "anthropic.messages": _anthropic_stream,
}
