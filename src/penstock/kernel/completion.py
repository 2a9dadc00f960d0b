"""Reading a chat completion: what rooms that ask models of the line need of one."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Function(Struct, frozen=True):
    """What a model wants called. ``arguments`` is what it wrote, which need not be JSON."""

    name: str = ""
    arguments: str = "{}"


class Called(Struct, frozen=True):
    """A call of a tool. ``id`` is empty where the server gives none."""

    function: Function
    id: str = ""

    def told(self) -> dict[str, Any]:
        """As it stands in a message."""
        return {"id": self.id, "type": "function", "function": {"name": self.function.name, "arguments": self.function.arguments}}


class Completed(Struct, frozen=True, kw_only=True):
    """The first choice of a completion. ``text`` may be a refusal in the model's own words."""

    text: str
    calls: tuple[Called, ...]
    finish: str


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[Called, ...] | None = None  # servers send null as well


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    choices: list[_Choice]


class _Fault(Struct):
    message: str = ""


class _Failure(Struct):
    error: _Fault


_completion = msgspec.json.Decoder(_Completion)
_failure = msgspec.json.Decoder(_Failure)


def completed(body: bytes) -> Completed | None:
    """What the model said; None for a body that is no chat completion."""
    try:
        choice = _completion.decode(body).choices[0]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return None
    message = choice.message
    return Completed(text=message.content or message.refusal or "", calls=message.tool_calls or (), finish=choice.finish_reason or "")


def told_why(body: bytes, most: int = 500) -> str:
    """What the body of a failure says, at most ``most`` characters of it."""
    try:
        return _failure.decode(body).error.message[:most]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:most].decode(errors="replace")
