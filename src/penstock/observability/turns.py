"""What a recorded body is read into, and small readers of JSON that may hold anything."""

from __future__ import annotations

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


def text(value: object) -> str:
    """The string itself, empty for null, the JSON of anything else."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def as_map(value: object) -> JsonMap:
    """The object itself, an empty one for anything else."""
    return cast("JsonMap", value) if isinstance(value, dict) else {}


def as_maps(value: object) -> list[JsonMap]:
    """The objects of a list, empty ones for what else is in it; nothing for what is no list."""
    return [as_map(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def settings_of(tree: JsonMap, *left_out: str) -> dict[str, str]:
    """What else was asked: every field that is no list and not left out, as text."""
    return {name: text(value) for name, value in tree.items() if name not in left_out and not isinstance(value, list)}
