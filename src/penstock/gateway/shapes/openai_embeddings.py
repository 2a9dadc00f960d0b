"""OpenAI embeddings: passed through and translated (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from penstock.gateway.shapes import openai_error, openai_usage
from penstock.gateway.shapes.body import decode, expect, model_of, rewritten, top_level
from penstock.gateway.shapes.embedding import EmbeddingRequest, Vectors, pack, unpack
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.reader import Reader
from penstock.gateway.shapes.shape import Fields, Head
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, NotExpressible, PenstockError, UpstreamMalformed

_NAME = "openai.embeddings"
_INPUT = msgspec.json.Decoder(str | list[str | int | list[int]])


class _Row(Struct):
    embedding: str | tuple[float, ...]
    index: int = 0


class _Body(Struct):
    data: list[_Row]
    usage: openai_usage.ChatUsage | None = None


_BODY = msgspec.json.Decoder(_Body)


class OpenAIEmbeddings:
    """The shape ``openai.embeddings``; it never streams."""

    name = _NAME
    operation = "embeddings"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "input", b'["')
        return fields, Head(model=model)

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`."""
        return msgspec.json.encode(rewritten(fields, model=model, stream=False))

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return openai_error.render(error)

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return openai_usage.of_chat_body(body)

    def decode_request(self, fields: Fields) -> EmbeddingRequest:
        """See `EmbeddingShape.decode_request`; tokens belong to a tokenizer that others do not have."""
        r = Reader(fields)
        r.raw("model")
        given = r.raw("input")
        found = decode(_INPUT, given, "'input'", "input") if given is not None else ""
        listed: list[str | int | list[int]] = [found] if isinstance(found, str) else found
        texts = tuple(text for text in listed if isinstance(text, str))
        if len(texts) != len(listed):
            raise NotExpressible("'input' holds tokens; providers of other shapes take text", param="input")
        if not texts:
            raise MalformedRequest("'input' holds nothing.", param="input")
        encoding = r.text("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise MalformedRequest("'encoding_format' must be float or base64.", param="encoding_format")
        dimensions, user = r.whole("dimensions"), r.text("user")
        return EmbeddingRequest(shape=_NAME, texts=texts, dimensions=dimensions, user=user, packed=encoding == "base64", extra=r.rest())

    def encode_request(self, request: EmbeddingRequest, *, model: str) -> bytes:
        """See `EmbeddingShape.encode_request`; what the vectors are for is a hint that this API does not take."""
        audit = Audit(request, _NAME, {})
        for name, value in (("taskType", request.task), ("title", request.title)):
            if value is not None:
                audit.drop(name)
        out: dict[str, Any] = {"model": model, "input": request.texts, **audit.extra(request.extra)}
        for name, value in (("dimensions", request.dimensions), ("user", request.user)):
            if value is not None:
                out[name] = value
        return msgspec.json.encode(out)

    def decode_reply(self, body: bytes) -> Vectors:
        """See `EmbeddingShape.decode_reply`."""
        try:
            found = _BODY.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's reply holds no embeddings.") from fault
        rows = sorted(found.data, key=lambda row: row.index)
        vectors = tuple(unpack(row.embedding) if isinstance(row.embedding, str) else row.embedding for row in rows)
        return Vectors(vectors, openai_usage.from_chat(found.usage) if found.usage is not None else None)

    def encode_reply(self, vectors: Vectors, *, model: str, request: EmbeddingRequest) -> bytes:
        """See `EmbeddingShape.encode_reply`."""
        rows = [pack(one) if request.packed else one for one in vectors.vectors]
        data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
        tokens = vectors.usage.input if vectors.usage is not None else 0
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})
