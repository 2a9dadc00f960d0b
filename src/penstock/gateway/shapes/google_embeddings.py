"""Gemini embeddings, one text or many: passed through and translated (https://ai.google.dev/api/embeddings)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import google_json, google_usage
from penstock.gateway.shapes.body import decode, expect, top_level
from penstock.gateway.shapes.embedding import EmbeddingRequest, Vectors
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.google_shape import GoogleShape, without_address
from penstock.gateway.shapes.reader import Reader
from penstock.gateway.shapes.shape import Fields, Head
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, NotExpressible, UpstreamMalformed

EMBED, BATCH = "google.embed", "google.batch_embed"
_MOST = 2048
_REQUESTS = msgspec.json.Decoder(list[dict[str, Raw]])


class _Embedding(Struct):
    values: tuple[float, ...] = ()


class _Body(Struct, rename="camel"):
    embedding: _Embedding | None = None
    embeddings: list[_Embedding] | None = None
    usage_metadata: google_usage.UsageWire | None = None


_BODY = msgspec.json.Decoder(_Body)


class _GoogleEmbeddings(GoogleShape):
    name = ""
    operation = "embeddings"

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`; older models count nothing."""
        return google_usage.of_body(body)

    def decode_reply(self, body: bytes) -> Vectors:
        """See `EmbeddingShape.decode_reply`."""
        try:
            found = _BODY.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's reply holds no embeddings.") from fault
        embeddings = found.embeddings if found.embeddings is not None else [found.embedding] if found.embedding is not None else None
        if embeddings is None:
            raise UpstreamMalformed("The provider's reply holds no embeddings.")
        usage = google_usage.from_wire(found.usage_metadata) if found.usage_metadata is not None else None
        return Vectors(tuple(one.values for one in embeddings), usage)


class GoogleEmbed(_GoogleEmbeddings):
    """The shape ``google.embed``: one text, one vector."""

    name = EMBED

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`; the head names no model."""
        fields = top_level(body)
        expect(fields, "content", b"{")
        return fields, Head(model="")

    def decode_request(self, fields: Fields) -> EmbeddingRequest:
        """See `EmbeddingShape.decode_request`."""
        return _one(google_json.reader(fields), EMBED)

    def encode_request(self, request: EmbeddingRequest, *, model: str) -> bytes:
        """See `EmbeddingShape.encode_request`; it takes exactly one text."""
        if len(request.texts) != 1:
            raise NotExpressible("'input' holds several texts, and embedContent takes one", param="input")
        return msgspec.json.encode(_written(request, request.texts[0]))

    def encode_reply(self, vectors: Vectors, *, model: str, request: EmbeddingRequest) -> bytes:
        """See `EmbeddingShape.encode_reply`."""
        return msgspec.json.encode({"embedding": {"values": vectors.vectors[0]}, **_usage(vectors)})


class GoogleBatchEmbed(_GoogleEmbeddings):
    """The shape ``google.batch_embed``: texts in one request, as many vectors."""

    name = BATCH

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`; the head names no model."""
        fields = top_level(body)
        expect(fields, "requests", b"[")
        return fields, Head(model="")

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`; every request inside names the model once more."""
        out = without_address(fields)
        asked = decode(_REQUESTS, out["requests"], "'requests'", "requests")
        out["requests"] = [{**one, "model": f"models/{model}"} for one in asked]
        return msgspec.json.encode(out)

    def decode_request(self, fields: Fields) -> EmbeddingRequest:
        """See `EmbeddingShape.decode_request`; what one shape says for all texts must be the same for each here."""
        r = google_json.reader(fields)
        for told in ("model", "stream"):
            r.raw(told)
        asked = [_one(one, BATCH) for one in google_json.messages(r, "requests")]
        if not asked or len(asked) > _MOST:
            raise MalformedRequest(f"'requests' must hold 1 to {_MOST} texts, not {len(asked)}.", param="requests")
        first = asked[0]
        for name in ("dimensions", "task", "title"):
            if any(getattr(one, name) != getattr(first, name) for one in asked):
                wire = {"dimensions": "outputDimensionality", "task": "taskType"}.get(name, name)
                raise NotExpressible(f"'requests' differ in '{wire}', which another provider takes once for all", param=f"requests.{wire}")
        extra = {name: raw for one in asked for name, raw in one.extra.items()}
        return msgspec.structs.replace(first, texts=tuple(text for one in asked for text in one.texts), extra={**extra, **r.rest()})

    def encode_request(self, request: EmbeddingRequest, *, model: str) -> bytes:
        """See `EmbeddingShape.encode_request`."""
        written = _written(request, "")
        asked = [{**written, "model": f"models/{model}", "content": _content(text)} for text in request.texts]
        return msgspec.json.encode({"requests": asked})

    def encode_reply(self, vectors: Vectors, *, model: str, request: EmbeddingRequest) -> bytes:
        """See `EmbeddingShape.encode_reply`."""
        return msgspec.json.encode({"embeddings": [{"values": one} for one in vectors.vectors], **_usage(vectors)})


def _one(r: Reader, shape: str) -> EmbeddingRequest:
    for told in ("model", "stream"):
        r.raw(told)
    content = google_json.message(r, "content")
    if content is None:
        raise r.fault("content", "is missing")
    content.text("role")
    texts: list[str] = []
    for part in google_json.messages(content, "parts"):
        text = part.text("text")
        left = part.rest()
        if text is None or left:
            raise NotExpressible(f"'{part.path}' is no plain text, which is all that other providers embed", param=part.path)
        texts.append(text)
    if not texts:
        raise content.fault("parts", "holds nothing")
    task, dimensions, title = r.text("taskType"), r.whole("outputDimensionality"), r.text("title")
    # The parts of one content have one vector.
    return EmbeddingRequest(shape=shape, texts=("\n".join(texts),), dimensions=dimensions, task=task, title=title, extra=r.rest())


def _content(text: str) -> dict[str, Any]:
    return {"parts": [{"text": text}]}


def _written(request: EmbeddingRequest, text: str) -> dict[str, Any]:
    audit = Audit(request, EMBED if request.shape == EMBED else BATCH, {})
    if request.user is not None:
        audit.drop("user")
    optional = {"taskType": request.task, "title": request.title, "outputDimensionality": request.dimensions}
    return {"content": _content(text), **{k: v for k, v in optional.items() if v is not None}, **audit.extra(request.extra)}


def _usage(vectors: Vectors) -> dict[str, Any]:
    usage = vectors.usage
    return {"usageMetadata": {"promptTokenCount": usage.input, "totalTokenCount": usage.input}} if usage is not None else {}
