"""What the gateway knows about replies that somebody keeps: what they say, and how they are said another way."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from penstock.gateway.recordings.convert import Assembly, deltas_of
from penstock.gateway.resolver import Resolver
from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes import openai_responses_replay as responses
from penstock.gateway.shapes.shape import ChatShape
from penstock.kernel.call import Usage
from penstock.kernel.errors import PenstockError
from penstock.kernel.messages import Completion, Message, Request, Text, ToolCall, plain_text
from penstock.kernel.recall import Question, Seen

PASSING = frozenset({"filter", "refusal", "pause"})
"""Why a reply ended that another try may well end otherwise."""
RESPONSES = "openai.responses"
"""The shape whose replies are not read into the normal form."""
_NOTHING_ELSE = {"stream": False, "include_usage": False, "user": None, "metadata": None, "safety_identifier": None, "cache_key": None}


class StoredReplies:
    """The gateway's `Replies`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def see(self, shape: str, reply: bytes, *, stream: bool) -> Seen | None:
        """See `Replies.see`."""
        known = SHAPES[shape]
        if not hasattr(known, "stream_decoder"):
            return None if stream else Seen()
        try:
            if shape == RESPONSES:
                response = responses.read(responses.whole(reply) if stream else reply)
                kept = response.status in responses.ENDED and not response.filtered
                return Seen(text=response.text, tools=response.tools) if kept else None
            completion = _read(chat(known), reply, stream=stream)
        except PenstockError:
            return None
        if not completion.choices or any(one.finish is None or one.finish in PASSING for one in completion.choices):
            return None
        parts = [part for one in completion.choices for part in one.parts]
        tools = any(isinstance(part, ToolCall) for part in parts) or any(one.finish == "tool_calls" for one in completion.choices)
        return Seen(text=plain_text(tuple(parts)), tools=tools)

    def render(self, shape: str, reply: bytes, *, stream: bool, to_stream: bool, usage: Usage, show: bool) -> bytes | None:
        """See `Replies.render`."""
        if not stream and not to_stream:
            return reply
        known = SHAPES[shape]
        if not hasattr(known, "stream_decoder"):
            return None
        shaped = chat(known)
        try:
            if shape == RESPONSES:
                body = responses.whole(reply) if stream else reply
                return responses.stream(body) if to_stream else body
            completion = _read(shaped, reply, stream=stream)
            if completion.usage is None:
                completion = msgspec.structs.replace(completion, usage=usage)
            if not to_stream:
                return shaped.encode_reply(completion, model=completion.model)
            encoder = shaped.stream_encoder(model=completion.model, include_usage=show)
            return b"".join([encoder.encode(delta) for delta in deltas_of(completion)]) + encoder.finish()
        except PenstockError:
            return None

    def question(self, shape: str, fields: Mapping[str, Raw]) -> Question | None:
        """See `Replies.question`."""
        found = _last_message(shape, fields)
        if found is None:
            return None
        request, last = found
        emptied = Message("user", (), name=last.name, extra=last.extra)
        rest = msgspec.structs.replace(request, messages=(*request.messages[:-1], emptied), cache=None, **_NOTHING_ELSE)
        return Question(text=plain_text(last.parts), rest=msgspec.json.encode(rest))

    def said(self, shape: str, fields: Mapping[str, Raw]) -> str | None:
        """See `Replies.said`. Most conversations are read without taking the whole request apart."""
        messages = fields.get("messages") if shape in _PLAIN else None
        if messages is not None:
            try:
                turns = _turns.decode(messages)
                if turns and turns[-1].role == "user" and bytes(turns[-1].content)[:1] == b'"':
                    return _words.decode(turns[-1].content)
            except msgspec.DecodeError:  # whatever is unusual about it, below it is read with care
                pass
        last = _last_message(shape, fields)
        return plain_text(last[1].parts) if last is not None else None

    def leads_to(self, name: str, provider: str, model: str, organisation: str) -> bool:
        """See `Replies.leads_to`."""
        return self._resolver.leads_to(name, provider, model, organisation)


class _Turn(msgspec.Struct):
    role: str = ""
    content: Raw = Raw(b"null")


_PLAIN = frozenset(("openai.chat", "anthropic.messages"))
_turns = msgspec.json.Decoder(list[_Turn])
_words = msgspec.json.Decoder(str)


def _last_message(shape: str, fields: Mapping[str, Raw]) -> tuple[Request, Message] | None:
    """The request, and the user's text at its end."""
    known = SHAPES[shape]
    if not hasattr(known, "stream_decoder"):
        return None
    try:
        request = chat(known).decode_request(dict(fields))
    except PenstockError:
        return None
    last = request.messages[-1] if request.messages else None
    if last is None or last.role != "user" or last.prefill or not all(isinstance(part, Text) for part in last.parts):
        return None
    return request, last


def _read(shape: ChatShape, reply: bytes, *, stream: bool) -> Completion:
    if not stream:
        return shape.decode_reply(reply)
    decoder = shape.stream_decoder()
    whole = Assembly()
    for delta in [*decoder.feed(reply), *decoder.close()]:
        whole.add(delta)
    return whole.completion(decoder.usage)
