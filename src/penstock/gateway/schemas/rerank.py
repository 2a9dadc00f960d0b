"""Reranking in both shapes, as the OpenAPI document describes it."""

from __future__ import annotations

from penstock.gateway.schemas.failures import FAILURES
from penstock.gateway.schemas.notation import Schema, flag, free, many, maybe, number, obj, one, ref, text, whole
from penstock.kernel.web import Description

_MODEL = text("A model of `/v1/models`, `provider/model`, or `task:name`.", minLength=1, maxLength=512)
_TOP = maybe(whole("How many of the best are wanted; all when absent.", minimum=1, maximum=2**31 - 1))
_ERROR = {"code": text("Stable; docs/errors.md lists all."), "param": maybe(text("The field that is wrong."))}
_SAID = text("What is wrong, where, and what to do.")
_JINA_ERROR: Schema = obj(
    "A failure as clients of Jina's and of Cohere's first API read it.", need=("detail", "message"), detail=_SAID, message=_SAID, **_ERROR
)
_COHERE_ERROR: Schema = obj("A failure as Cohere's API tells it.", need=("id", "message"), id=text(), message=_SAID, **_ERROR)


def _ranked(**more: Schema) -> Schema:
    return obj(need=("index", "relevance_score"), index=whole(minimum=0), relevance_score=number(), **more)


def describe_jina() -> Description:
    """Of ``/v1/rerank``."""
    return Description(
        request=obj(
            need=("model", "query", "documents"),
            model=_MODEL,
            query=one(text(), free(), what="A text; where the provider speaks this shape also an object with a text or an image."),
            documents=many(one(text(), obj(text=text()))),
            top_n=_TOP,
            return_documents=maybe(flag("True when absent.")),
        ),
        reply=obj(need=("results",), model=text(), results=many(_ranked(document=one(text(), free()))), usage=free()),
        error=ref("JinaError"),
        failures=FAILURES,
        schemas={"JinaError": _JINA_ERROR},
    )


def describe_cohere() -> Description:
    """Of ``/v2/rerank``."""
    return Description(
        request=obj(need=("model", "query", "documents"), model=_MODEL, query=text(), documents=many(text()), top_n=_TOP),
        reply=obj(need=("results",), id=text(), results=many(_ranked()), meta=free()),
        error=ref("CohereError"),
        failures=FAILURES,
        schemas={"CohereError": _COHERE_ERROR},
    )
