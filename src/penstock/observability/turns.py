"""What a recorded body is read into, and small readers of JSON that may hold anything."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from penstock.kernel.wording import as_text

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


def text(value: object) -> str:
    """The string itself, empty for null, the JSON of anything else."""
    if value is None:
        return ""
    return as_text(value)


def as_map(value: object) -> JsonMap:
    """The object itself, an empty one for anything else."""
    return cast("JsonMap", value) if isinstance(value, dict) else {}


def as_maps(value: object) -> list[JsonMap]:
    """The objects of a list, empty ones for what else is in it; nothing for what is no list."""
    return [as_map(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def settings_of(tree: JsonMap, *left_out: str) -> dict[str, str]:
    """What else was asked: every field that is no list and not left out, as text."""
    return {name: text(value) for name, value in tree.items() if name not in left_out and not isinstance(value, list)}


def media_of(url: str) -> str:
    return url.split(",", 1)[0] + ",…" if url.startswith("data:") else url


def content_of(value: object) -> list[Part]:
    """A message's content, a text or blocks."""
    if isinstance(value, str):
        return [Part("text", value)] if value else []
    return [block_of(block) for block in as_maps(value)]


def block_of(block: JsonMap) -> Part:
    """One block of a content, of any vendor's kind."""
    kind = text(block.get("type"))
    match kind:
        case "text" | "input_text" | "output_text" | "summary_text" | "reasoning_text":
            return Part("reasoning" if "reasoning" in kind or "summary" in kind else "text", text(block.get("text")))
        case "thinking":
            return Part("reasoning", text(block.get("thinking")))
        case "redacted_thinking":
            return Part("reasoning", "(withheld by the provider)")
        case "refusal":
            return Part("refusal", text(block.get("refusal")))
        case "image_url" | "input_image":
            url = block.get("image_url")
            return Part("image", media=media_of(text(as_map(url).get("url") or url)))
        case "image" | "document":
            source = as_map(block.get("source"))
            media = text(source.get("url") or source.get("media_type") or source.get("file_id"))
            shown = text(source.get("data")) if source.get("type") == "text" else ""
            return Part("image" if kind == "image" else "file", shown, name=text(block.get("title")), media=media)
        case "input_audio":
            return Part("audio", media=text(as_map(block.get("input_audio")).get("format")))
        case "file" | "input_file":
            file = as_map(block.get("file")) or block
            name = text(file.get("filename") or file.get("file_id"))
            return Part("file", name=name, media=media_of(text(file.get("file_data") or file.get("file_url"))))
        case "tool_use" | "server_tool_use":
            return Part("tool_call", text(block.get("input")), text(block.get("name")), text(block.get("id")))
        case "tool_result":
            inner = block.get("content")
            said = inner if isinstance(inner, str) else "\n".join(part.text or f"[{part.kind}]" for part in content_of(inner))
            return Part("tool_result", said, id=text(block.get("tool_use_id")))
        case _:
            return Part("other", text(block), name=kind)
