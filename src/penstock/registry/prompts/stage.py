"""A prompt that a call names by id is put into the request: no provider knows our prompts.

``"prompt": {"id", "version", "variables"}`` is OpenAI's own parameter of responses; chat completions and Anthropic's messages take it the
same way. What the prompt says comes before what the call says: system messages before its instructions, the others before its messages.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.stage import Proceed, Slot
from penstock.registry.prompts.model import Message
from penstock.registry.prompts.shelf import Shelf

CHAT, RESPONSES = "openai.chat", "openai.responses"
SHAPES = frozenset({CHAT, RESPONSES, "anthropic.messages", "anthropic.count_tokens"})
_OPENAIS_OWN = "pmpt_"


class _Asked(Struct, forbid_unknown_fields=True):
    id: str
    version: str | int | None = None
    variables: dict[str, Any] | None = None


_ASKED = msgspec.json.Decoder(_Asked | None)
_MANY = msgspec.json.Decoder(list[Raw])


class ExpandPrompt:
    """Puts the version of the prompt that a call names into it, with the call's variables; what was used is on the record."""

    name = "prompt"
    slot = Slot.INSPECT

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def concerns(self, call: Call) -> bool:
        """Whether the call names a prompt."""
        return "prompt" in call.fields and call.shape in SHAPES

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        assert call.principal is not None
        try:
            asked = _ASKED.decode(call.fields["prompt"])
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"'prompt' must be an object with id, version and variables: {fault}", param="prompt") from None
        if asked is None:
            del call.fields["prompt"]
            return await proceed(call)
        if asked.id.startswith(_OPENAIS_OWN) and call.shape == RESPONSES:
            return await proceed(call)  # stored at OpenAI, which knows it and we do not
        version = None if asked.version is None else str(asked.version)
        known = self._shelf.find(call.principal.organisation, asked.id, version)
        call.prompt = f"{known.name}@{known.number}"
        messages = (await self._shelf.template(known)).render(asked.variables or {})
        del call.fields["prompt"]
        _put(call, [m.content for m in messages if m.role == "system"], [m for m in messages if m.role != "system"])
        call.body = msgspec.json.encode(call.fields)  # what the record keeps and others judge: what was said, not how it came about
        call.input_estimate += sum(len(message.content) for message in messages) // 4
        if call.expected is not None:
            call.expected.input = max(call.expected.input, call.input_estimate)
        return await proceed(call)


def _put(call: Call, system: list[str], said: list[Message]) -> None:
    fields = call.fields
    if call.shape == CHAT:
        first = [Message("system", text) for text in system]
        fields["messages"] = _joined([*first, *said], _given(fields, "messages"))
    elif call.shape == RESPONSES:
        if system:
            own = fields.get("instructions")
            fields["instructions"] = _encoded("\n\n".join([*system, *_texts(own, "instructions")]))
        own = fields.get("input")
        if own is None and not said:
            raise MalformedRequest("The field 'input' is missing, and the prompt says nothing but instructions.", param="input")
        text = own is not None and bytes(own).lstrip()[:1] == b'"'
        now = [_encoded({"role": "user", "content": cast("Raw", own)})] if text else _given(fields, "input")
        if said:
            fields["input"] = _joined(said, now)
    else:
        if system:
            own = fields.get("system")
            blocks = own is not None and bytes(own).lstrip()[:1] == b"["
            if blocks:
                first = [_encoded({"type": "text", "text": text}) for text in system]
                fields["system"] = _encoded([*first, *_given(fields, "system")])
            else:
                fields["system"] = _encoded("\n\n".join([*system, *_texts(own, "system")]))
        fields["messages"] = _joined(said, _given(fields, "messages"))


def _given(fields: dict[str, Raw], name: str) -> list[Raw]:
    raw = fields.get(name)
    if raw is None:
        return []
    try:
        return _MANY.decode(raw)
    except msgspec.ValidationError:
        raise MalformedRequest(f"'{name}' must be an array.", param=name) from None


def _texts(raw: Raw | None, name: str) -> list[str]:
    if raw is None:
        return []
    try:
        text = msgspec.json.decode(raw, type=str | None)
    except msgspec.ValidationError:
        raise MalformedRequest(f"'{name}' must be a string beside a prompt.", param=name) from None
    return [text] if text else []


def _joined(said: list[Message], after: list[Raw]) -> Raw:
    return _encoded([*said, *after])


def _encoded(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
