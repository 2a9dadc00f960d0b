"""What a recorded call gave the model to rest on, and what the model replied: from the normal form or from a body as it came.

Counted as context: results of tools, documents and files that are text, search results, and what stands in tags that people put evidence
in (``<context>``, ``<document>``, ...), in messages of the system and of users. Instructions and questions are none: a reply that
repeats the question is not grounded by it. Where nothing is found, `Evidence.missing` says so; nobody is to take that for "grounded".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import msgspec

from penstock.kernel.messages import Composed, File, Inline, Message, Part, Text, ToolResult, Written

TAGS: Final = (
    "context",
    "document",
    "documents",
    "knowledge",
    "passage",
    "passages",
    "search_results",
    "source",
    "sources",
    "evidence",
    "article",
    "file",
)
"""Names of tags whose content is evidence, with or without attributes."""

_TAG = re.compile(rf"<(/?)({'|'.join(TAGS)})(?:\s[^<>]*)?>", re.IGNORECASE)
_INNER = re.compile(r"</?\w[^<>]*>")
_TEXT_TYPES = ("text/", "application/json", "application/xml")


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """``context``: texts that the reply may rest on, in the order of the call. ``unread``: what could not be read as text (a PDF, a
    picture, a file kept elsewhere), by kind, so that a verdict on the rest is not taken for one on all."""

    context: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """Why there is nothing to judge by; empty when there is something, or when all is well."""
        if self.context:
            return ""
        if self.unread:
            return f"The call's context could not be read as text: {', '.join(self.unread)}."
        return "No context found in the call: no tool result, document, file or tagged text."


def of_messages(messages: Sequence[Message]) -> Evidence:
    """The evidence in messages of the normal form."""
    return _gathered(found for message in messages for part in message.parts for found in _of_part(message.role, part))


def of_body(body: bytes) -> Evidence:
    """The evidence in a request as it came, in OpenAI's chat or responses shape or Anthropic's. What is no JSON object holds none."""
    try:
        tree: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Evidence()
    if not isinstance(tree, dict):
        return Evidence()
    fields = cast("dict[str, Any]", tree)
    return _gathered(_of_fields(fields))


def reply_of(body: bytes) -> str:
    """The text of a whole reply in the same shapes, its choices one after the other; empty when it has none."""
    try:
        tree: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    fields = _map(tree)
    said = [_map(choice).get("message") for choice in _list(fields.get("choices"))] or [fields, *_list(fields.get("output"))]
    return "\n".join(text for one in said for text in _plain(_map(one).get("content")) if text)


_Found = tuple[str | None, str]
"""A text, or None and the kind of what could not be read."""


def _gathered(found: Iterator[_Found]) -> Evidence:
    texts: dict[str, None] = {}
    unread: dict[str, None] = {}
    for text, kind in found:
        if text is None:
            unread[kind] = None
        elif text.strip():
            texts[text] = None
    return Evidence(context=tuple(texts), unread=tuple(unread))


def _of_part(role: str, part: Part) -> Iterator[_Found]:
    match part:
        case ToolResult(parts=parts):
            for inner in parts:
                yield from _whole(inner)
        case File():
            yield from _whole(part)
        case Text(text=text):
            if role == "tool":
                yield text, "text"
            elif role != "assistant":
                yield from _tagged(text)
        case _:
            pass


def _whole(part: Part | Text) -> Iterator[_Found]:
    """All of a part that is evidence by its place."""
    match part:
        case Text(text=text):
            yield text, "text"
        case File(source=Written(text=text)):
            yield text, "text"
        case File(source=Composed(parts=parts)):
            for inner in parts:
                yield from _whole(inner)
        case File(source=Inline(media_type=kind, data=data)):
            yield _decoded(kind, data), kind or "file"
        case _:
            yield None, type(part).__name__.lower()


def _of_fields(fields: dict[str, Any]) -> Iterator[_Found]:
    for text in (*_plain(fields.get("system")), *_plain(fields.get("instructions"))):
        yield from _tagged(text)
    given = fields.get("input")
    if isinstance(given, str):
        yield from _tagged(given)
    for item in (*_list(fields.get("messages")), *_list(cast("object", given))):
        message = _map(item)
        kind = message.get("type")
        if kind in ("function_call_output", "custom_tool_call_output"):
            yield from _contents(message.get("output"))
        elif message.get("role") in ("tool", "function"):
            yield from _contents(message.get("content"))
        elif message.get("role") != "assistant":
            content = message.get("content")
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else _list(content):
                yield from _of_block(_map(block))


def _of_block(block: dict[str, Any]) -> Iterator[_Found]:
    match block.get("type"):
        case "text" | "input_text":
            yield from _tagged(_text(block.get("text")))
        case "tool_result":
            yield from _contents(block.get("content"))
        case "search_result":
            yield from _contents(block.get("content"))
        case "document":
            yield from _source(_map(block.get("source")))
        case "file" | "input_file":
            file = _map(block.get("file")) or block
            head, comma, data = _text(file.get("file_data")).partition(",")
            kind = head.removeprefix("data:").partition(";")[0] if comma else "file"
            yield _decoded(kind, data) if comma else None, kind
        case _:
            pass


def _source(source: dict[str, Any]) -> Iterator[_Found]:
    match source.get("type"):
        case "text":
            yield _text(source.get("data")), "text"
        case "content":
            yield from _contents(source.get("content"))
        case "base64":
            kind = _text(source.get("media_type"))
            yield _decoded(kind, _text(source.get("data"))), kind
        case _:
            yield None, "document"


def _contents(content: object) -> Iterator[_Found]:
    """Text, or blocks, that are evidence as a whole."""
    if isinstance(content, str):
        yield content, "text"
    for item in _list(content):
        block = _map(item)
        if isinstance(block.get("text"), str):
            yield _text(block.get("text")), "text"
        else:
            found = list(_of_block(block))
            yield from found or [(None, _text(block.get("type")) or "part")]


def _tagged(text: str) -> Iterator[_Found]:
    """What stands between tags that belong together, the outermost ones, in time that grows with the text and no faster."""
    opened: list[tuple[str, int, int]] = []
    waiting: Counter[str] = Counter()
    whole: list[tuple[int, int, int]] = []
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if not tag[1]:
            opened.append((name, tag.start(), tag.end()))
            waiting[name] += 1
        elif waiting[name]:
            found = ""
            start = end = 0
            while found != name:  # tags in between were never closed
                found, start, end = opened.pop()
                waiting[found] -= 1
            while whole and whole[-1][0] > start:
                whole.pop()
            whole.append((start, end, tag.start()))
    for _, start, end in whole:
        yield _INNER.sub("\n", text[start:end]), "text"


def _decoded(kind: str, data: str) -> str | None:
    if not kind.startswith(_TEXT_TYPES):
        return None
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _plain(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [_text(_map(block).get("text")) for block in _list(content)]


def _map(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
