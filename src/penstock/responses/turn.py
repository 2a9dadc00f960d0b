"""One turn: what came in and what went out, and what of it a later turn says again."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
from msgspec import Raw

from penstock.kernel.ids import new_id

_MINE = "resp_ps"
ID = re.compile(_MINE + r"[0-9a-f]{32}")
"""Ids of our making. OpenAI's own may be as long and as hexadecimal, hence the two letters; others are their provider's affair."""
_REASONING = "reasoning"


def new_turn() -> str:
    """A new id, of the moment."""
    return _MINE + new_id("").removeprefix("_")


def made_at(id: str) -> float:
    """When an id of ours was made, in Unix seconds."""
    return int(id[len(_MINE) : len(_MINE) + 12], 16) / 1000


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """A stored turn. Journalled as a MessagePack array: fields are only ever added at the end, with a default.

    ``input`` is the JSON list of this turn's own input items, each with an id; ``response`` the response object as the client got it.
    Times are Unix seconds.
    """

    id: str
    organisation: str
    previous: str | None
    model: str
    created_at: float
    expires_at: float
    created_by: str | None
    input: bytes
    response: bytes
    person: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.input) + len(self.response)

    def output(self) -> list[Raw]:
        """The items of the response."""
        return msgspec.json.decode(self.response, type=_Output).output

    def items(self) -> list[Raw]:
        """The items of the input, then those of the response."""
        return [*msgspec.json.decode(self.input, type=list[Raw]), *self.output()]


class _Output(msgspec.Struct):
    output: list[Raw] = []


def input_items(given: Raw, id: str) -> bytes | None:
    """The JSON list of what a call gives as ``input``, each item with an id; None for what is no input."""
    try:
        value = msgspec.json.decode(given)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, str):
        value = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in cast("list[Any]", value)):
        return None
    items = cast("list[dict[str, Any]]", value)
    told = id.removeprefix("resp_")
    for number, item in enumerate(items):
        item.setdefault("type", "message")
        if item["type"] == "message" and isinstance(item.get("content"), str):
            kind = "output_text" if item.get("role") == "assistant" else "input_text"
            item["content"] = [{"type": kind, "text": item["content"]}]
        if not isinstance(item.get("id"), str):
            item["id"] = f"{_PREFIX.get(str(item['type']), 'item')}_{told}_{number}"
    return msgspec.json.encode(items)


_PREFIX = {"message": "msg", "function_call": "fc", "function_call_output": "fco", _REASONING: "rs"}


def said_again(item: Raw, *, same_model: bool) -> Raw | None:
    """An item of an earlier turn as a provider is given it; None for what it is not given.

    Ids go: the provider stored nothing that they could name. Thoughts go too unless they bring all that is needed to read them
    (``encrypted_content``) and the model is the one that had them.
    """
    value = msgspec.json.decode(item)
    if not isinstance(value, dict):
        return item
    fields = cast("dict[str, Any]", value)
    kind = fields.get("type")
    if str(kind).startswith("mcp_") and not same_model:
        return None  # what a server or an agent did, for whoever was there
    if kind == _REASONING:
        return item if same_model and isinstance(fields.get("encrypted_content"), str) else None
    if kind in ("message", "function_call", "function_call_output", None):
        fields.pop("id", None)
        fields.pop("status", None)
        return Raw(msgspec.json.encode(fields))
    return item
