"""Gemini's generateContent and countTokens on the hot path: read, re-emit, watch (https://ai.google.dev/api/generate-content).

Which model is asked, and whether it streams, stands in the path and not in the body: whoever serves the path says it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from penstock.gateway.shapes import google_error, google_json, google_read, google_reply, google_stream, google_usage, google_write
from penstock.gateway.shapes.body import decode, expect, top_level
from penstock.gateway.shapes.google_shape import GoogleShape, without_address
from penstock.gateway.shapes.shape import PLAIN, Counted, Dialect, Fields, Head, StreamDecoder, StreamEncoder, StreamTap
from penstock.gateway.shapes.sse import event
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, PenstockError, UpstreamMalformed
from penstock.kernel.messages import Completion, Request

_Cap = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Count = Annotated[int, Meta(ge=1, le=128)]


class _Config(Struct, rename="camel"):
    max_output_tokens: _Cap | None = None
    candidate_count: _Count | None = None


class _SnakeConfig(Struct):
    max_output_tokens: _Cap | None = None
    candidate_count: _Count | None = None


_CONFIG = msgspec.json.Decoder(_Config | None)
_SNAKE_CONFIG = msgspec.json.Decoder(_SnakeConfig | None)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_WHOLE = "generateContentRequest"


def _config(fields: Fields) -> tuple[int | None, int | None]:
    caps: list[int] = []
    counts: list[int] = []
    for name in (google_read.CONFIG, "generation_config"):
        for decoder in (_CONFIG, _SNAKE_CONFIG) if name in fields else ():
            found = decode(decoder, fields[name], f"'{name}'", name)
            if found is not None:
                caps += [found.max_output_tokens] if found.max_output_tokens is not None else []
                counts += [found.candidate_count] if found.candidate_count is not None else []
    # The largest: what is reserved must not be less than what may be spent.
    return max(caps, default=None), max(counts, default=None)


class GoogleGeneratePassthrough(GoogleShape):
    """The same-shape half of the shape ``google.generate``."""

    name = "google.generate"
    operation = "chat"
    comments = False

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`; the head names no model."""
        fields = top_level(body)
        expect(fields, "contents", b"[{")
        cap, n = _config(fields)
        return fields, Head(model="", max_output=cap or None, include_usage=True, n=n or 1)

    def stream_error(self, error: PenstockError) -> bytes:
        """See `ChatShape.stream_error`."""
        return event(google_error.body(error))

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return google_usage.of_body(body)

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `ChatShape.tap`; usage is part of every stream here."""
        return google_stream.GenerateTap()


class GoogleGenerate(GoogleGeneratePassthrough):
    """The shape ``google.generate``, whole: passed through and translated."""

    def decode_request(self, fields: Fields) -> Request:
        """See `ChatShape.decode_request`."""
        return google_read.decode_request(fields)

    def encode_request(self, request: Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """See `ChatShape.encode_request`."""
        return msgspec.json.encode(google_write.encode_request(request, stream=stream, dialect=dialect))

    def decode_reply(self, body: bytes) -> Completion:
        """See `ChatShape.decode_reply`."""
        return google_reply.decode_reply(body)

    def encode_reply(self, completion: Completion, *, model: str) -> bytes:
        """See `ChatShape.encode_reply`."""
        return google_reply.encode_reply(completion, model)

    def stream_decoder(self) -> StreamDecoder:
        """See `ChatShape.stream_decoder`."""
        return google_stream.GenerateDecoder()

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """See `ChatShape.stream_encoder`; usage is part of every stream here."""
        return google_stream.GenerateEncoder(model)


class GoogleCountTokens(GoogleShape):
    """The shape ``google.count_tokens``: contents, or a whole request under ``generateContentRequest``, counted."""

    name = "google.count_tokens"
    operation = "count_tokens"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`; the head names no model."""
        fields = top_level(body)
        if not any(google_json.camel(name) in ("contents", _WHOLE) for name in fields):
            raise MalformedRequest("The field 'contents' is missing.", param="contents")
        return fields, Head(model="")

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`; a whole request inside names the model once more."""
        out = without_address(fields)
        for name in out:
            if google_json.camel(name) == _WHOLE:
                inner = decode(_FIELDS, out[name], f"'{name}'", name)
                out[name] = {**inner, "model": f"models/{model}"}
        return msgspec.json.encode(out)

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return google_usage.of_count(body)

    def decode_request(self, fields: Fields) -> Request:
        """See `CountShape.decode_request`."""
        r = google_json.reader(fields)
        inner = r.raw(_WHOLE)
        return google_read.decode_request(decode(_FIELDS, inner, f"'{_WHOLE}'", _WHOLE) if inner is not None else fields)

    def encode_request(self, request: Request, *, model: str, dialect: Dialect = PLAIN) -> bytes:
        """See `CountShape.encode_request`."""
        body = google_write.encode_request(request, stream=False, dialect=dialect)
        if set(body) == {"contents"}:
            return msgspec.json.encode(body)
        return msgspec.json.encode({_WHOLE: {"model": f"models/{model}", **body}})

    def decode_reply(self, body: bytes) -> Counted:
        """See `CountShape.decode_reply`."""
        usage = google_usage.of_count(body)
        if usage is None:
            raise UpstreamMalformed("The provider's reply holds no count of tokens.")
        return Counted(usage)

    def encode_reply(self, counted: Counted) -> bytes:
        """See `CountShape.encode_reply`."""
        return msgspec.json.encode({"totalTokens": counted.usage.input})
