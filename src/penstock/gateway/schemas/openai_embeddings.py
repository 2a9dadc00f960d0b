"""OpenAI embeddings, as the OpenAPI document describes them."""

from __future__ import annotations

from penstock.gateway.schemas.failures import OPENAI_ERROR, OPENAI_FAILURES
from penstock.gateway.schemas.notation import many, maybe, number, obj, one, ref, text, whole, word
from penstock.kernel.web import Description


def describe() -> Description:
    """The route's description."""
    return Description(
        request=ref("OpenAIEmbeddingsRequest"),
        reply=ref("OpenAIEmbeddings"),
        error=ref("OpenAIError"),
        failures=OPENAI_FAILURES,
        schemas={
            "OpenAIError": OPENAI_ERROR,
            "OpenAIEmbeddingsRequest": obj(
                need=("model", "input"),
                model=text("A model of `/v1/models`, `provider/model`, or `task:name`.", minLength=1, maxLength=512),
                input=one(
                    text(),
                    many(text()),
                    many(whole()),
                    many(many(whole())),
                    what="A text, texts, or tokens of the model's own vocabulary (which the local model does not take).",
                ),
                encoding_format=maybe(word("float", "base64")),
                dimensions=maybe(whole(minimum=1)),
                user=maybe(text()),
            ),
            "OpenAIEmbeddings": obj(
                need=("object", "data", "model"),
                object={"const": "list"},
                model=text(),
                data=many(
                    obj(
                        need=("object", "index", "embedding"),
                        object={"const": "embedding"},
                        index=whole(minimum=0),
                        embedding=one(many(number()), text("Little-endian 32-bit floats in base64.")),
                    )
                ),
                usage=obj(need=("prompt_tokens", "total_tokens"), prompt_tokens=whole(), total_tokens=whole()),
            ),
        },
    )
