"""Gemini embeddings, as the OpenAPI document describes them."""

from __future__ import annotations

from penstock.gateway.schemas.failures import FAILURES, GOOGLE_ERROR
from penstock.gateway.schemas.google_generate import KEY
from penstock.gateway.schemas.notation import many, maybe, number, obj, one, ref, text, whole
from penstock.kernel.web import Description

_PART = obj("Text; other kinds go to Gemini itself.", text=maybe(text()))
_ONE = obj(
    need=("content",),
    content=obj(need=("parts",), parts=one(many(_PART), _PART)),
    taskType=maybe(text("What the vector is for; a hint.")),
    title=maybe(text()),
    outputDimensionality=maybe(whole(minimum=1)),
)
_VECTOR = obj(need=("values",), values=many(number()))
_USAGE = maybe(obj(promptTokenCount=maybe(whole()), totalTokenCount=maybe(whole())))
_SCHEMAS = {"GoogleError": GOOGLE_ERROR, "GoogleEmbeddingRequest": _ONE, "GoogleEmbedding": _VECTOR}


def describe() -> Description:
    """The description of the route for one text."""
    return Description(
        request=ref("GoogleEmbeddingRequest"),
        reply=obj(need=("embedding",), embedding=ref("GoogleEmbedding"), usageMetadata=_USAGE),
        query=KEY,
        error=ref("GoogleError"),
        failures=FAILURES,
        schemas=_SCHEMAS,
    )


def describe_batch() -> Description:
    """The description of the route for many texts."""
    return Description(
        request=obj(need=("requests",), requests=many(ref("GoogleEmbeddingRequest"))),
        reply=obj(need=("embeddings",), embeddings=many(ref("GoogleEmbedding")), usageMetadata=_USAGE),
        query=KEY,
        error=ref("GoogleError"),
        failures=FAILURES,
        schemas=_SCHEMAS,
    )
