"""Reranking in the two shapes that others copy, and from one into the other.

Cohere's second version (https://docs.cohere.com/v2/reference/rerank) and Jina's (https://api.jina.ai/redoc, also spoken by vLLM, llama.cpp,
Together, and near enough to Cohere's first version) ask for the same thing in nearly the same words. They differ in what documents may be,
in whether they come back with the reply, and in how usage is counted: Cohere in search units, Jina in tokens.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes.body import CAP, FLAG, decode, expect, head, model_of, top_level
from penstock.gateway.shapes.openai_usage import Count, count
from penstock.gateway.shapes.plain import Plain
from penstock.gateway.shapes.reader import Reader, is_text
from penstock.gateway.shapes.shape import Fields, Head
from penstock.kernel.call import Usage
from penstock.kernel.errors import NotExpressible, PenstockError, UpstreamMalformed
from penstock.kernel.ids import new_id

JINA = "jina.rerank"
COHERE = "cohere.rerank"
PER_SEARCH = 100
"""Documents in one search unit (https://cohere.com/pricing)."""

_DOCUMENTS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)


class _Billed(Struct):
    search_units: Count = None
    input_tokens: Count = None


class _Meta(Struct):
    billed_units: _Billed | None = None


class _Tokens(Struct):
    total_tokens: Count = None
    prompt_tokens: Count = None


class _Usage(Struct):
    usage: _Tokens | None = None
    meta: _Meta | None = None


class _Result(Struct):
    index: int
    relevance_score: float


class _Reply(Struct):
    results: list[_Result]
    id: str | None = None


_USAGE = msgspec.json.Decoder(_Usage)
_REPLY = msgspec.json.Decoder(_Reply)


class _Rerank(Plain):
    operation = "rerank"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        query = fields.get("query")
        if self.name == COHERE or query is None or memoryview(query)[0] != 0x7B:  # Jina also takes {"text": ...} or {"image": ...}
            expect(fields, "query", b'"')
        expect(fields, "documents", b"[")
        documents = decode(_DOCUMENTS, fields["documents"], "'documents'", "documents")
        head(fields, "top_n", CAP)
        searches = max(1, -(-len(documents) // PER_SEARCH))
        return fields, Head(model=model, expected=Usage(searches=searches))

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        try:
            wire = _USAGE.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        billed = wire.meta.billed_units if wire.meta is not None else None
        if billed is not None and billed.search_units is not None:
            return Usage(searches=count(billed.search_units), input=count(billed.input_tokens))
        if wire.usage is not None and (wire.usage.total_tokens or wire.usage.prompt_tokens):
            return Usage(input=count(wire.usage.total_tokens) or count(wire.usage.prompt_tokens))
        return None


class JinaRerank(_Rerank):
    """The shape ``jina.rerank``."""

    name = JINA

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`: Jina's clients read ``detail``, those of Cohere's first version, who may call here too, ``message``."""
        said = {"detail": error.message, "message": error.message, "code": error.code, "param": error.param}
        return error.status, msgspec.json.encode(said)

    def request_in(self, wire: str, fields: Fields, *, model: str) -> bytes:
        """See `Plain.request_in`."""
        if wire != COHERE:
            return super().request_in(wire, fields, model=model)
        r = Reader(fields)
        r.raw("model")
        query, documents = r.raw("query"), [_text(raw, place) for raw, place in r.items("documents")]
        if query is None or not is_text(query):
            raise _refused("query", "it takes a text")
        r.flag("return_documents")  # put in from the request on the way back
        body: dict[str, Any] = {"model": model, "query": query, "documents": documents}
        top = r.whole("top_n")
        if top is not None:
            body["top_n"] = top
        for name in r.rest():
            raise _refused(name, f"it belongs to {JINA}")
        return msgspec.json.encode(body)

    def reply_from(self, wire: str, body: bytes, fields: Fields, *, model: str) -> bytes:
        """See `Plain.reply_from`."""
        results: list[dict[str, Any]] = []
        documents = decode(_DOCUMENTS, fields["documents"], "'documents'", "documents")
        told = head(fields, "return_documents", FLAG) is not False
        for found in _read(body).results:
            result: dict[str, Any] = {"index": found.index, "relevance_score": found.relevance_score}
            if told and 0 <= found.index < len(documents):
                result["document"] = {"text": _text(documents[found.index], "documents")}
            results.append(result)
        usage = self.usage(body) or Usage()
        counted = {"total_tokens": usage.input, "prompt_tokens": usage.input, "search_units": usage.searches}
        return msgspec.json.encode({"model": model, "object": "list", "usage": counted, "results": results})


class CohereRerank(_Rerank):
    """The shape ``cohere.rerank``."""

    name = COHERE

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error` (https://docs.cohere.com/v2/reference/errors)."""
        return error.status, msgspec.json.encode({"id": new_id("err"), "message": error.message, "code": error.code, "param": error.param})

    def request_in(self, wire: str, fields: Fields, *, model: str) -> bytes:
        """See `Plain.request_in`."""
        if wire != JINA:
            return super().request_in(wire, fields, model=model)
        r = Reader(fields)
        r.raw("model")
        body: dict[str, Any] = {"model": model, "query": r.raw("query"), "documents": r.raw("documents"), "return_documents": False}
        top = r.whole("top_n")
        if top is not None:
            body["top_n"] = top
        r.whole("priority")  # a wish of the caller's towards Cohere's queue; it changes no answer
        for name in r.rest():
            raise _refused(name, f"it belongs to {COHERE}")
        return msgspec.json.encode(body)

    def reply_from(self, wire: str, body: bytes, fields: Fields, *, model: str) -> bytes:
        """See `Plain.reply_from`."""
        reply = _read(body)
        usage = self.usage(body) or Usage()
        meta = {"api_version": {"version": "2"}, "tokens": {"input_tokens": usage.input}}
        return msgspec.json.encode({"id": reply.id or new_id("rerank"), "results": reply.results, "meta": meta})


def _text(raw: Raw, place: str) -> str:
    if is_text(raw):
        return _TEXT.decode(raw)
    document = Reader.of(raw, place)
    text = document.text("text")
    for name in (*document.rest(), *(("text",) if text is None else ())):
        raise _refused(f"{place}.{name}", "documents there are texts")
    return text or ""


def _refused(name: str, why: str) -> NotExpressible:
    return NotExpressible(f"'{name}' cannot be expressed for a provider of the other rerank shape: {why}.", param=name)


def _read(body: bytes) -> _Reply:
    try:
        return _REPLY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply is no reranking.") from fault
