"""OpenAI responses on the hot path: read, re-emit, watch (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import openai_error, openai_responses_reply, openai_responses_request, openai_usage
from penstock.gateway.shapes.body import CAP, FLAG, expect, head, model_of, rewritten, top_level
from penstock.gateway.shapes.openai_usage import ResponsesUsage
from penstock.gateway.shapes.shape import PLAIN, Dialect, Fields, Head, StreamDecoder, StreamEncoder, StreamTap
from penstock.gateway.shapes.sse import event
from penstock.gateway.shapes.tap import Tap
from penstock.kernel.call import Usage
from penstock.kernel.errors import NotExpressible, PenstockError, UpstreamMalformed
from penstock.kernel.messages import Completion, Request

_ENDS = (b'"response.completed"', b'"response.incomplete"', b'"response.failed"')


class _Response(Struct):
    status: str | None = None
    usage: ResponsesUsage | None = None
    error: Raw = Raw(b"")


class _Event(Struct):
    type: str = ""
    response: _Response | None = None


_EVENT = msgspec.json.Decoder(_Event)


class OpenAIResponsesPassthrough:
    """The same-shape half of the shape ``openai.responses``."""

    name = "openai.responses"
    operation = "chat"
    comments = True

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "input", b'["', unless="prompt")
        stream = head(fields, "stream", FLAG) or False
        return fields, Head(model=model, stream=stream, max_output=head(fields, "max_output_tokens", CAP), include_usage=True)

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`; this API sends usage unasked."""
        return msgspec.json.encode(rewritten(fields, model=model, stream=stream))

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return openai_error.render(error)

    def stream_error(self, error: PenstockError) -> bytes:
        """See `ChatShape.stream_error`."""
        body = {"type": "error", "code": error.code, "message": error.message, "param": error.param, "sequence_number": 0}
        return event(msgspec.json.encode(body), b"error")

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return openai_usage.of_responses_body(body)

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `ChatShape.tap`."""
        return Tap(_Eye(), (b'"delta":',))


class _Eye:
    """Looks for the event that ends a response, and for failures."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None

    def quiet(self, chunk: bytes) -> bool:
        """See `Eye.quiet`."""
        return not any(end in chunk for end in _ENDS) and b'"type":"error"' not in chunk and b"event: error" not in chunk

    def see(self, data: bytes) -> bool:
        """See `Eye.see`."""
        try:
            seen = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's stream holds an event that is no event of a response.") from fault
        if seen.type == "error":
            raise openai_error.upstream_error(data)
        if seen.type.encode() in (end.strip(b'"') for end in _ENDS) and seen.response is not None:
            if seen.type == "response.failed":
                raise openai_error.upstream_error(seen.response.error)
            self.finish_reason = seen.response.status
            if seen.response.usage is not None:
                self.usage = openai_usage.from_responses(seen.response.usage)
            self.finished = True
        return True


class OpenAIResponses(OpenAIResponsesPassthrough):
    """The shape ``openai.responses``: passed through, or translated for clients.

    Providers of this shape serve clients of this shape only; towards other clients OpenAI's chat completions say the same.
    """

    def decode_request(self, fields: Fields) -> Request:
        """See `ChatShape.decode_request`."""
        return openai_responses_request.decode_request(fields)

    def encode_request(self, request: Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """Raises `NotExpressible`: no provider is asked in this shape on behalf of another."""
        raise _one_way()

    def decode_reply(self, body: bytes) -> Completion:
        """Raises `NotExpressible`, as `encode_request` does."""
        raise _one_way()

    def encode_reply(self, completion: Completion, *, model: str) -> bytes:
        """See `ChatShape.encode_reply`."""
        return openai_responses_reply.encode_reply(completion, model)

    def stream_decoder(self) -> StreamDecoder:
        """Raises `NotExpressible`, as `encode_request` does."""
        raise _one_way()

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """See `ChatShape.stream_encoder`; usage is part of every stream here."""
        return openai_responses_reply.ResponsesEncoder(model)


def _one_way() -> NotExpressible:
    return NotExpressible("a provider that speaks responses serves clients that speak responses; others reach it as chat completions")
