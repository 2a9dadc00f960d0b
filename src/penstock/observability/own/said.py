"""A recorded body as the text of a span: messages in the shape that spans of other programs have, or the body as it came.

Bodies come here as the record keeps them, secrets replaced already and maybe cut. Most are a few plain messages, which are read with their
types known; all else takes the way of what comes over OTLP.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.observability.otlp import messages
from penstock.observability.otlp.messages import Message
from penstock.observability.payloads import CONDENSED, OMITTED
from penstock.observability.transcript import read_condensed
from penstock.observability.turns import Part, Transcript


class _Plain(msgspec.Struct, gc=False):
    """A message that is nothing but text. One that holds more does not fit, and is read the long way."""

    role: str
    content: str
    tool_calls: None = None
    tool_call_id: None = None
    reasoning_content: None = None
    refusal: None = None
    name: None = None


class _Asked(msgspec.Struct, gc=False):
    messages: list[_Plain]
    system: None = None
    tools: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Plain
    finish_reason: str = ""


class _Answered(msgspec.Struct, gc=False):
    choices: list[_Choice]


class _Text(msgspec.Struct, gc=False):
    type: str
    content: str


class _Told(msgspec.Struct, omit_defaults=True, gc=False):
    role: str
    parts: list[_Text]
    finish_reason: str = ""


_asked = msgspec.json.Decoder(_Asked).decode
_answered = msgspec.json.Decoder(_Answered).decode
_encode = msgspec.json.Encoder().encode
_ROLES = {"developer": "system", "function": "tool"}

_PLAIN_SHAPES = frozenset({"openai.chat", "anthropic.messages"})
_TALKS = frozenset({"openai.chat", "openai.responses", "anthropic.messages", "google.generate", "bedrock.converse"})
_FIELDS = ("input", "prompt", "query", "text")
"""Where the shapes that do not talk have what they are asked."""


def asked(shape: str, body: bytes) -> str:
    """What a request says."""
    if not body:
        return ""
    if shape in _PLAIN_SHAPES:
        try:
            plain = _asked(body).messages
            return _encode([_Told(_ROLES.get(one.role, one.role), [_Text("text", one.content)]) for one in plain]).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    tree = _tree(body)
    if messages.is_dictionary(tree):
        if shape in _TALKS:
            system = tree.get("systemInstruction") or tree.get("system_instruction")
            found = messages.read(tree)
            if found and messages.is_dictionary(system):
                found = [{"role": "system", "parts": _parts_of(system)}, *found]
            if found:
                return _encode(found).decode()
        else:
            for name in _FIELDS:
                if isinstance(told := tree.get(name), str):
                    return told
    return _as_it_came(body)


def answered(shape: str, body: bytes, form: str) -> str:
    """What a reply says; ``form`` is that of its `Side`."""
    if not body or form == OMITTED:
        return ""
    if form == CONDENSED:
        held = read_condensed(body)
        return _encode(_of(held)).decode() if held is not None else _as_it_came(body)
    if shape == "openai.chat":
        try:
            return _encode(
                [_Told(one.message.role, [_Text("text", one.message.content)], one.finish_reason) for one in _answered(body).choices]
            ).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    if shape in _TALKS:
        tree = _tree(body)
        if messages.is_dictionary(tree) and "error" not in tree:
            found = messages.read([one.get("content") for one in _objects(tree.get("candidates"))] or tree, "assistant")
            if found:
                return _encode(found).decode()
    return _as_it_came(body)


def _tree(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # cut off, or never JSON


def _as_it_came(body: bytes) -> str:
    return body.decode("utf-8", "replace").replace("\0", "")


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if messages.is_dictionary(one)] if messages.is_list(value) else []


def _parts_of(system: dict[str, Any]) -> list[Message]:
    return [{"type": "text", "content": messages.text(one.get("text"))} for one in _objects(system.get("parts"))]


def _of(held: Transcript) -> list[Message]:
    told: list[Message] = [{"role": turn.role, "parts": [_part(one) for one in turn.parts]} for turn in held.turns]
    if told and held.finish:
        told[-1]["finish_reason"] = held.finish
    return told


def _part(part: Part) -> Message:
    match part.kind:
        case "text" | "reasoning" | "refusal":
            return {"type": part.kind, "content": part.text}
        case "tool_call":
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": messages.decoded(part.text)}
        case "tool_result":
            return {"type": "tool_call_response", "id": part.id, "response": part.text}
        case kind:
            left = {"name": part.name, "content": part.text, "uri": part.media}
            return {"type": kind, **{name: text for name, text in left.items() if text}}
