"""OpenAI chat completions on the hot path: read, re-emit, watch (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import openai_chat_reply, openai_chat_request, openai_error, openai_usage
from penstock.gateway.shapes.body import CAP, CAP_FROM_ZERO, COUNT, FLAG, expect, head, model_of, rewritten, top_level
from penstock.gateway.shapes.openai_chunks import DONE
from penstock.gateway.shapes.openai_usage import ChatUsage
from penstock.gateway.shapes.shape import PLAIN, Dialect, Fields, Head, StreamDecoder, StreamEncoder, StreamTap
from penstock.gateway.shapes.sse import event
from penstock.gateway.shapes.tap import Tap
from penstock.kernel.call import Usage
from penstock.kernel.errors import PenstockError, UpstreamMalformed
from penstock.kernel.messages import Completion, Request

_INCLUDE_USAGE = Raw(b'{"include_usage":true}')


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Choice(Struct):
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: ChatUsage | None = None
    error: Raw = Raw(b"")


_OPTIONS = msgspec.json.Decoder(_StreamOptions | None)
_OPTION_FIELDS = msgspec.json.Decoder(dict[str, Raw] | None)
_CHUNK = msgspec.json.Decoder(_Chunk)


def stream_options(fields: Mapping[str, Raw]) -> bool:
    """Whether the client asked for usage in its stream."""
    options = head(fields, "stream_options", _OPTIONS)
    return bool(options and options.include_usage)


class OpenAIChatPassthrough:
    """The same-shape half of the shape ``openai.chat``."""

    name = "openai.chat"
    operation = "chat"
    comments = True

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "messages", b"[", unless="prompt")
        stream = head(fields, "stream", FLAG) or False
        cap = head(fields, "max_completion_tokens", CAP)
        if cap is None:
            cap = head(fields, "max_tokens", CAP_FROM_ZERO)
        found = Head(
            model=model,
            stream=stream,
            max_output=cap,
            include_usage=stream and stream_options(fields),
            n=head(fields, "n", COUNT) or 1,
        )
        return fields, found

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`."""
        out = rewritten(fields, model=model, stream=stream)
        if want_usage:
            given = fields.get("stream_options")
            options: dict[str, Raw] = (_OPTION_FIELDS.decode(given) if given is not None else None) or {}
            out["stream_options"] = {**options, "include_usage": True} if options else _INCLUDE_USAGE
        elif stream:
            out.pop("stream_options", None)  # a provider that does not take it sends usage unasked
        return msgspec.json.encode(out)

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return openai_error.render(error)

    def stream_error(self, error: PenstockError) -> bytes:
        """See `ChatShape.stream_error`."""
        return event(msgspec.json.encode({"error": openai_error.error_object(error)}))

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return openai_usage.of_chat_body(body)

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `ChatShape.tap`."""
        return Tap(ChunkEye(keep_usage), (b'"content":', b'"reasoning_content":', b'"arguments":'))


class ChunkEye:
    """Looks for the usage chunk, the last finish reason, a failure, and ``[DONE]``."""

    def __init__(self, keep_usage: bool) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self._keep_usage = keep_usage

    def quiet(self, chunk: bytes) -> bool:
        """See `Eye.quiet`."""
        if DONE in chunk or b'"error"' in chunk:
            return False
        # Every chunk may carry "usage":null and "finish_reason":null; only a value is of interest.
        return not _has_value(chunk, b'"usage":') and not _has_value(chunk, b'"finish_reason":')

    def see(self, data: bytes) -> bool:
        """See `Eye.see`."""
        if data.strip() == DONE:
            self.finished = True
            return True
        try:
            chunk = _CHUNK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's stream holds an event that is no chat completion chunk.") from fault
        openai_error.check(chunk.error)
        for choice in chunk.choices or ():
            self.finish_reason = choice.finish_reason or self.finish_reason
        if chunk.usage is not None:
            self.usage = openai_usage.from_chat(chunk.usage)
            return self._keep_usage or bool(chunk.choices)
        return True


def _has_value(chunk: bytes, name: bytes) -> bool:
    at = chunk.find(name)
    while at >= 0:
        at += len(name)
        if chunk[at : at + 5].lstrip()[:4] != b"null":
            return True
        at = chunk.find(name, at)
    return False


class OpenAIChat(OpenAIChatPassthrough):
    """The shape ``openai.chat``, whole: passed through and translated."""

    def decode_request(self, fields: Fields) -> Request:
        """See `ChatShape.decode_request`."""
        return openai_chat_request.decode_request(fields)

    def encode_request(self, request: Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """See `ChatShape.encode_request`."""
        return openai_chat_request.encode_request(request, model=model, stream=stream, dialect=dialect)

    def decode_reply(self, body: bytes) -> Completion:
        """See `ChatShape.decode_reply`."""
        return openai_chat_reply.decode_reply(body)

    def encode_reply(self, completion: Completion, *, model: str) -> bytes:
        """See `ChatShape.encode_reply`."""
        return openai_chat_reply.encode_reply(completion, model)

    def stream_decoder(self) -> StreamDecoder:
        """See `ChatShape.stream_decoder`."""
        return openai_chat_reply.ChatDecoder()

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """See `ChatShape.stream_encoder`."""
        return openai_chat_reply.ChatEncoder(model, include_usage)
