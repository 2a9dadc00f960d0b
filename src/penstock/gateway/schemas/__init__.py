"""What the model routes take and answer, as JSON Schemas for the OpenAPI document: every field that Penstock reads or writes.

Fields beside these are allowed everywhere: to a provider that speaks the called API's own shape they go through as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from penstock.gateway.schemas import anthropic_messages, openai_chat, openai_embeddings, openai_responses
from penstock.gateway.schemas.headers import ASKED, TOLD
from penstock.kernel.web import Description

_SHAPES: Mapping[str, Callable[[], Description]] = {
    "openai.chat": openai_chat.describe,
    "openai.responses": openai_responses.describe,
    "openai.embeddings": openai_embeddings.describe,
    "anthropic.messages": anthropic_messages.describe,
    "anthropic.count_tokens": anthropic_messages.describe_count,
}


def description(shape: str) -> Description:
    """What the route of this wire shape takes and answers. KeyError for a shape that has no route."""
    return msgspec.structs.replace(_SHAPES[shape](), headers=ASKED, reply_headers=TOLD)
