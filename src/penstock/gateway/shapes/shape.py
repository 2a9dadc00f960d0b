"""What a wire shape can do for the gateway.

::

    Shape                reads a request, re-emits it for a provider of the same shape, renders errors, finds the usage
    ├── StreamingShape   and also watches streams
    │   └── ChatShape    and goes through the normal form of `penstock.kernel.messages` to and from other shapes
    ├── CountShape       and also translates such a conversation that is only to be counted
    └── EmbeddingShape   and also translates, through the form of `embedding`

The same-shape path never understands more than it must: the top level of a request, the few events of a stream that tell the end
and the usage. The translating path understands everything, and says so when something has no counterpart.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Raw

from penstock.gateway.shapes.embedding import EmbeddingRequest, Vectors
from penstock.kernel.call import Usage
from penstock.kernel.errors import PenstockError
from penstock.kernel.messages import Completion, Delta, Request

Fields = dict[str, Raw]
"""The top level of a request: each value as the client wrote it, duplicate keys resolved (the last one wins)."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the line must know of a request before anything is translated.

    ``max_output`` is the caller's own cap on output tokens, ``n`` the number of replies asked for, ``include_usage`` whether the client
    asked for usage in its stream (always true where the API sends it unasked). ``expected`` is what the call may use where tokens of text
    are not the whole of it, or there is no output; its input is estimated from the body where it says none.
    """

    model: str
    stream: bool = False
    max_output: int | None = None
    include_usage: bool = False
    n: int = 1
    expected: Usage | None = None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider's use of a shape differs from the plain one; filled from its profile.

    ``max_tokens_field`` is the name of the output cap (OpenAI chat). ``reasoning_field`` is the field of an assistant message in which the
    provider takes back its own reasoning (``reasoning_content``, ``reasoning``), None when it refuses such a field: then reasoning in the
    history is left out and noted. ``default_max_tokens`` is sent where the API demands a cap and the caller named none (Anthropic).
    ``sampling`` says whether the provider takes temperature, top_p and top_k; when it does not, they cannot be expressed.
    ``thinking_levels`` says whether the model is told how much to think in words instead of tokens, and ``unsigned_call`` is what stands
    for the signature of a tool call that has none, where the model refuses such calls (Gemini 3).
    """

    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True
    reasoning_field: str | None = "reasoning_content"
    default_max_tokens: int = 4096
    sampling: bool = True
    thinking_levels: bool = False
    unsigned_call: str | None = None


PLAIN = Dialect()
"""The shape as its vendor describes it."""


class Watch(Protocol):
    """What is known of a stream while it runs.

    ``finished`` turns true before the bytes (or deltas) that tell completion are returned. ``output_bytes`` is a rough count of
    generated text so far, from which the usage of a cut stream can be estimated. ``finish_reason`` is the upstream's own word.
    """

    @property
    def usage(self) -> Usage | None: ...
    @property
    def finished(self) -> bool: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def output_bytes(self) -> int: ...


class StreamTap(Watch, Protocol):
    """Watches a stream that is passed on in its own shape, event by event, without re-making it.

    Only whole events are passed on; the rest of a chunk waits for the next one.
    """

    def feed(self, chunk: bytes) -> bytes:
        """What to forward of everything received so far; may be empty. Raises `UpstreamError` when the upstream reports a failure."""
        ...

    def close(self) -> bytes:
        """The upstream ended: what is left to forward. Raises `UpstreamReset` unless the stream was complete."""
        ...


class StreamDecoder(Watch, Protocol):
    """Turns a provider's stream into deltas, however the bytes are cut."""

    def feed(self, chunk: bytes) -> list[Delta]:
        """Deltas that became complete. Raises `UpstreamMalformed` for what is no such stream, `UpstreamError` for a reported failure."""
        ...

    def close(self) -> list[Delta]:
        """The upstream ended: the last deltas. Raises `UpstreamReset` unless the stream was complete."""
        ...


class StreamEncoder(Protocol):
    """Turns deltas into the client's stream."""

    def encode(self, delta: Delta) -> bytes:
        """The bytes for one delta; empty when the shape says nothing at this point."""
        ...

    def finish(self) -> bytes:
        """The bytes that tell the client that the reply is complete. Called once, after the last delta."""
        ...


class Shape(Protocol):
    """One API as it looks on the wire. ``operation`` is ``chat``, ``embeddings``, ``count_tokens``, ``moderations`` ..."""

    name: str
    operation: str

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """The top level of a request. Raises `MalformedRequest`, with ``param`` where one field is at fault.

        The whole body is checked to be valid UTF-8 and valid JSON with an object at the top; beyond the head's fields nothing is
        interpreted.
        """
        ...

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """The request for a provider of the same shape: every value as the client wrote it, but for the model and usage in streams.

        ``want_usage`` asks for usage in a stream where that must be asked for; without it a stream's own wish for usage is left out too,
        since the provider does not take one.
        """
        ...

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """Status and body with which this API reports ``error``. An upstream's own error body in this shape is kept as it is."""
        ...

    def usage(self, body: bytes) -> Usage | None:
        """The usage in a whole reply; None when it holds none or is no JSON."""
        ...


class StreamingShape(Shape, Protocol):
    """A shape whose replies may come as server-sent events.

    ``comments`` says whether its clients skip comments in a stream, as the standard has it (Google's SDK takes them for JSON).
    """

    comments: bool

    def stream_error(self, error: PenstockError) -> bytes:
        """The event that tells the client of a failure after the stream began."""
        ...

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """A watch over a stream of this shape; usage that the client did not ask for is taken out unless ``keep_usage``."""
        ...


class ChatShape(StreamingShape, Protocol):
    """A shape of conversation: it streams, and translates through the normal form."""

    def decode_request(self, fields: Fields) -> Request:
        """The request in the normal form. Raises `MalformedRequest`, or `NotExpressible` for state that Penstock does not keep."""
        ...

    def encode_request(self, request: Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """The request in this shape. Raises `NotExpressible` with ``param`` naming what cannot be said.

        What is left out because its absence changes nothing that was asked for is named in ``request.dropped``. A stream always asks
        for usage, where ``dialect`` allows.
        """
        ...

    def decode_reply(self, body: bytes) -> Completion:
        """A provider's whole reply. Raises `UpstreamMalformed`, or `UpstreamError` when it reports a failure."""
        ...

    def encode_reply(self, completion: Completion, *, model: str) -> bytes:
        """The reply for the client, naming ``model`` as the model."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A fresh decoder for one stream."""
        ...

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """A fresh encoder for one stream; ``include_usage`` matters only where clients must ask for usage."""
        ...


class Counted(msgspec.Struct, frozen=True):
    """Tokens of a conversation that was counted, as input."""

    usage: Usage


class CountShape(Shape, Protocol):
    """A shape of counting: the request of a conversation, answered with its tokens. Raises as `ChatShape` does."""

    def decode_request(self, fields: Fields) -> Request:
        """The conversation in the normal form."""
        ...

    def encode_request(self, request: Request, *, model: str, dialect: Dialect = PLAIN) -> bytes:
        """The conversation in this shape, without what only a reply would depend on."""
        ...

    def decode_reply(self, body: bytes) -> Counted:
        """A provider's count."""
        ...

    def encode_reply(self, counted: Counted) -> bytes:
        """The count for the client."""
        ...


class EmbeddingShape(Shape, Protocol):
    """A shape of embedding. Raises as `ChatShape` does."""

    def decode_request(self, fields: Fields) -> EmbeddingRequest:
        """What is to be embedded."""
        ...

    def encode_request(self, request: EmbeddingRequest, *, model: str) -> bytes:
        """The request in this shape; what is left out is named in ``request.dropped``."""
        ...

    def decode_reply(self, body: bytes) -> Vectors:
        """A provider's vectors."""
        ...

    def encode_reply(self, vectors: Vectors, *, model: str, request: EmbeddingRequest) -> bytes:
        """The vectors for the client that sent ``request``."""
        ...
