"""Anthropic messages on the hot path: read, re-emit, watch (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import anthropic_error, anthropic_reply, anthropic_request, anthropic_usage
from penstock.gateway.shapes.anthropic_usage import UsageWire
from penstock.gateway.shapes.body import CAP, FLAG, expect, head, model_of, rewritten, top_level
from penstock.gateway.shapes.shape import PLAIN, Counted, Dialect, Fields, Head, StreamDecoder, StreamEncoder, StreamTap
from penstock.gateway.shapes.sse import event
from penstock.gateway.shapes.tap import Tap
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, PenstockError, UpstreamMalformed
from penstock.kernel.messages import Completion, Request

_MARKS = (b"message_start", b"message_delta", b"message_stop", b'"error"')


class _Start(Struct):
    usage: UsageWire | None = None


class _Stop(Struct):
    stop_reason: str | None = None


class _Event(Struct):
    type: str = ""
    message: _Start | None = None
    delta: _Stop | None = None
    usage: UsageWire | None = None
    error: Raw = Raw(b"")


class _CountBody(Struct):
    input_tokens: int | None = None


# https://platform.claude.com/docs/en/api/messages-count-tokens: the rest of a message is refused there.
_NOT_COUNTED = frozenset({"max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier", "stream"})
_EVENT = msgspec.json.Decoder(_Event)
_COUNT_BODY = msgspec.json.Decoder(_CountBody)


class AnthropicMessagesPassthrough:
    """The same-shape half of the shape ``anthropic.messages``."""

    name = "anthropic.messages"
    operation = "chat"
    comments = True

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "messages", b"[", unless="prompt")
        cap = head(fields, "max_tokens", CAP)
        if cap is None:
            raise MalformedRequest("The field 'max_tokens' is missing.", param="max_tokens")
        return fields, Head(model=model, stream=head(fields, "stream", FLAG) or False, max_output=cap, include_usage=True)

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`; this API sends usage unasked."""
        return msgspec.json.encode(rewritten(fields, model=model, stream=stream))

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`; money that is spent is Anthropic's 402."""
        status, body = anthropic_error.render(error)
        if error.code == "insufficient_quota":
            return 402, anthropic_error.body(PenstockError(error.message, code=error.code, status=402))
        return status, body

    def stream_error(self, error: PenstockError) -> bytes:
        """See `ChatShape.stream_error`."""
        return event(anthropic_error.body(error), b"error")

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return anthropic_usage.of_body(body)

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `ChatShape.tap`."""
        return Tap(_Eye(), (b'"text":', b'"thinking":', b'"partial_json":'))


class AnthropicCountTokens(AnthropicMessagesPassthrough):
    """The shape ``anthropic.count_tokens``: a message without a reply, counted."""

    name = "anthropic.count_tokens"
    operation = "count_tokens"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "messages", b"[", unless="prompt")
        return fields, Head(model=model)

    def usage(self, body: bytes) -> Usage | None:
        """Counted tokens, none of them spent on a reply."""
        try:
            counted = _COUNT_BODY.decode(body).input_tokens
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return None if counted is None else Usage(input=max(0, counted))

    def decode_request(self, fields: Fields) -> Request:
        """See `CountShape.decode_request`."""
        return anthropic_request.decode_request(fields)

    def encode_request(self, request: Request, *, model: str, dialect: Dialect = PLAIN) -> bytes:
        """See `CountShape.encode_request`: a message without what only its reply depends on."""
        body: dict[str, Raw] = msgspec.json.decode(
            anthropic_request.encode_request(request, model=model, stream=False, dialect=dialect), type=dict[str, Raw]
        )
        return msgspec.json.encode({name: raw for name, raw in body.items() if name not in _NOT_COUNTED})

    def decode_reply(self, body: bytes) -> Counted:
        """See `CountShape.decode_reply`."""
        usage = self.usage(body)
        if usage is None:
            raise UpstreamMalformed("The provider's reply holds no count of tokens.")
        return Counted(usage)

    def encode_reply(self, counted: Counted) -> bytes:
        """See `CountShape.encode_reply`."""
        return msgspec.json.encode({"input_tokens": counted.usage.input})


class _Eye:
    """Looks at the start, the deltas of the message and its stop, and for failures."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self._wire: UsageWire | None = None

    def quiet(self, chunk: bytes) -> bool:
        """See `Eye.quiet`."""
        return not any(mark in chunk for mark in _MARKS)

    def see(self, data: bytes) -> bool:
        """See `Eye.see`."""
        try:
            seen = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's stream holds an event that is no event of a message.") from fault
        if seen.type == "error":
            raise anthropic_error.upstream_error(seen.error)
        wire = seen.message.usage if seen.message is not None else seen.usage
        if wire is not None:
            self._wire = wire.over(self._wire)
            self.usage = anthropic_usage.from_wire(self._wire)
        if seen.delta is not None and seen.delta.stop_reason is not None:
            self.finish_reason = seen.delta.stop_reason
        if seen.type == "message_stop":
            self.finished = True
        return True


class AnthropicMessages(AnthropicMessagesPassthrough):
    """The shape ``anthropic.messages``, whole: passed through and translated."""

    def decode_request(self, fields: Fields) -> Request:
        """See `ChatShape.decode_request`."""
        return anthropic_request.decode_request(fields)

    def encode_request(self, request: Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """See `ChatShape.encode_request`."""
        return anthropic_request.encode_request(request, model=model, stream=stream, dialect=dialect)

    def decode_reply(self, body: bytes) -> Completion:
        """See `ChatShape.decode_reply`."""
        return anthropic_reply.decode_reply(body)

    def encode_reply(self, completion: Completion, *, model: str) -> bytes:
        """See `ChatShape.encode_reply`."""
        return anthropic_reply.encode_reply(completion, model)

    def stream_decoder(self) -> StreamDecoder:
        """See `ChatShape.stream_decoder`."""
        return anthropic_reply.MessagesDecoder()

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """See `ChatShape.stream_encoder`; usage is part of every stream here."""
        return anthropic_reply.MessagesEncoder(model)
