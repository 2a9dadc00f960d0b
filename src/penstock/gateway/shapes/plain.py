"""What the shapes share that are no conversation: they go through as bytes, and only their head and their usage are looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from penstock.gateway.shapes import openai_error
from penstock.gateway.shapes.body import rewritten
from penstock.gateway.shapes.shape import Fields, Head, StreamTap
from penstock.gateway.shapes.sse import event
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, NotExpressible, PenstockError

JSON, TEXT, BINARY = "json", "text", "binary"


class Plain(ABC):
    """A `Shape` of OpenAI's manners, to be filled in: ``name``, ``operation``, `read`, and whatever differs.

    ``answers`` is what a whole reply may be: ``json`` (an object), ``text`` (an object or text, as its content type says), or ``binary``
    (passed on while it comes).
    """

    name: str
    operation: str
    answers: str = JSON
    comments: bool = True

    @abstractmethod
    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`; these APIs send usage unasked."""
        return msgspec.json.encode(rewritten(fields, model=model, stream=stream))

    def request_in(self, wire: str, fields: Fields, *, model: str) -> bytes:
        """The request in another shape. Raises `NotExpressible` with ``param`` naming what that shape cannot say."""
        raise NotExpressible(f"{self.name} cannot be said as {wire}")

    def reply_from(self, wire: str, body: bytes, fields: Fields, *, model: str) -> bytes:
        """The reply to the request ``fields`` that came in another shape, for the client. Raises `UpstreamMalformed`."""
        raise NotExpressible(f"{wire} cannot be read as {self.name}")

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return openai_error.render(error)

    def stream_error(self, error: PenstockError) -> bytes:
        """See `ChatShape.stream_error`."""
        return event(msgspec.json.encode({"error": openai_error.error_object(error)}))

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`; None lets the call be counted by what it was expected to use."""
        return None

    def kept(self, body: bytes) -> bytes | None:
        """What the record keeps of a whole reply that holds more than letters; None: its bytes, as far as the record's settings allow."""
        return None

    def tap_of(self, fields: Fields) -> StreamTap:
        """A watch over the stream that answers the request ``fields``."""
        return self.tap(keep_usage=True)

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `ChatShape.tap`. Raises `NotExpressible` where the API has no streams."""
        raise NotExpressible(f"{self.name} has no streams", param="stream")


class FormShape(Plain):
    """A shape whose requests are forms with files."""

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`: only a form will do."""
        raise MalformedRequest("The content type must be multipart/form-data.")

    @abstractmethod
    def read_form(self, form: Form) -> Head:
        """What the line must know, as far as the form has come. Raises `MalformedRequest`."""

    @abstractmethod
    def expected(self, form: Form) -> Usage:
        """What the call may use, as far as the form has come."""
