"""What the model routes take and answer, as JSON Schemas for the OpenAPI document: every field that Penstock reads or writes.

Fields beside these are allowed everywhere: to a provider that speaks the called API's own shape they go through as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from penstock.gateway.schemas import (
    anthropic_messages,
    google_embeddings,
    google_generate,
    openai_chat,
    openai_embeddings,
    openai_other,
    openai_responses,
    rerank,
)
from penstock.gateway.schemas.headers import ASKED, TOLD
from penstock.kernel.web import Description

_SHAPES: Mapping[str, Callable[[], Description]] = {
    "openai.chat": openai_chat.describe,
    "openai.responses": openai_responses.describe,
    "openai.embeddings": openai_embeddings.describe,
    "openai.completions": openai_other.describe_completions,
    "openai.moderations": openai_other.describe_moderations,
    "openai.transcriptions": openai_other.describe_transcriptions,
    "openai.translations": openai_other.describe_translations,
    "openai.speech": openai_other.describe_speech,
    "openai.images": openai_other.describe_images,
    "openai.image_edits": openai_other.describe_edits,
    "openai.image_variations": openai_other.describe_variations,
    "jina.rerank": rerank.describe_jina,
    "cohere.rerank": rerank.describe_cohere,
    "anthropic.messages": anthropic_messages.describe,
    "anthropic.count_tokens": anthropic_messages.describe_count,
    "google.generate": google_generate.describe,
    "google.count_tokens": google_generate.describe_count,
    "google.embed": google_embeddings.describe,
    "google.batch_embed": google_embeddings.describe_batch,
}
_STREAMS: Mapping[str, Callable[[], Description]] = {"google.generate": google_generate.describe_stream}
"""Shapes whose streams have a route of their own."""


def description(shape: str, *, stream: bool = False) -> Description:
    """What the route of this wire shape takes and answers. KeyError for a shape that has no route, or none of its own for streams."""
    return msgspec.structs.replace((_STREAMS if stream else _SHAPES)[shape](), headers=ASKED, reply_headers=TOLD)


def models_description(*, single: bool) -> Description:
    """What the routes that list models as Google does take and answer."""
    return google_generate.describe_models(single=single)
