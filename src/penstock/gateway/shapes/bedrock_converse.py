"""Amazon Bedrock's Converse: a shape that providers speak and clients do not, so it is only translated into
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)."""

from __future__ import annotations

from penstock.gateway.shapes import bedrock_reply, bedrock_request, openai_error
from penstock.gateway.shapes.shape import PLAIN, Dialect, Fields, Head, StreamDecoder, StreamEncoder, StreamTap
from penstock.kernel.call import Usage
from penstock.kernel.errors import NotExpressible, PenstockError
from penstock.kernel.messages import Completion, Request


class BedrockConverse:
    """The provider's half of a `ChatShape`; the client's half says that there is none."""

    name = bedrock_request.NAME
    operation = "chat"
    comments = False

    def encode_request(self, request: Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """See `ChatShape.encode_request`; the path says whether it streams, and usage comes unasked."""
        return bedrock_request.encode_request(request, model=model, dialect=dialect)

    def decode_reply(self, body: bytes) -> Completion:
        """See `ChatShape.decode_reply`."""
        return bedrock_reply.decode_reply(body)

    def stream_decoder(self) -> StreamDecoder:
        """See `ChatShape.stream_decoder`."""
        return bedrock_reply.ConverseDecoder()

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        try:
            return bedrock_reply.decode_reply(body).usage
        except PenstockError:
            return None

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return openai_error.render(error)

    def stream_error(self, error: PenstockError) -> bytes:
        """See `StreamingShape.stream_error`."""
        raise _no_client()

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        raise _no_client()

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`."""
        raise _no_client()

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `StreamingShape.tap`."""
        raise _no_client()

    def decode_request(self, fields: Fields) -> Request:
        """See `ChatShape.decode_request`."""
        raise _no_client()

    def encode_reply(self, completion: Completion, *, model: str) -> bytes:
        """See `ChatShape.encode_reply`."""
        raise _no_client()

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """See `ChatShape.stream_encoder`."""
        raise _no_client()


def _no_client() -> NotExpressible:
    return NotExpressible("Converse is spoken to providers only; call in another shape")
