"""The wire shapes that clients and providers speak: reading, re-emitting, watching and translating them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from penstock.gateway.shapes.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from penstock.gateway.shapes.bedrock_converse import BedrockConverse
from penstock.gateway.shapes.google_embeddings import GoogleBatchEmbed, GoogleEmbed
from penstock.gateway.shapes.google_generate import GoogleCountTokens, GoogleGenerate
from penstock.gateway.shapes.openai_audio import OpenAISpeech, OpenAITranscriptions, OpenAITranslations
from penstock.gateway.shapes.openai_chat import OpenAIChat
from penstock.gateway.shapes.openai_completions import OpenAICompletions
from penstock.gateway.shapes.openai_embeddings import OpenAIEmbeddings
from penstock.gateway.shapes.openai_images import OpenAIImageEdits, OpenAIImages, OpenAIImageVariations
from penstock.gateway.shapes.openai_moderations import OpenAIModerations
from penstock.gateway.shapes.openai_responses import OpenAIResponses
from penstock.gateway.shapes.rerank import CohereRerank, JinaRerank
from penstock.kernel.errors import NotExpressible

if TYPE_CHECKING:
    from penstock.gateway.shapes.shape import ChatShape, Shape, StreamingShape

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        OpenAIChat(),
        OpenAIResponses(),
        OpenAIEmbeddings(),
        OpenAICompletions(),
        OpenAIModerations(),
        OpenAITranscriptions(),
        OpenAITranslations(),
        OpenAISpeech(),
        OpenAIImages(),
        OpenAIImageEdits(),
        OpenAIImageVariations(),
        JinaRerank(),
        CohereRerank(),
        AnthropicMessages(),
        AnthropicCountTokens(),
        GoogleGenerate(),
        GoogleCountTokens(),
        GoogleEmbed(),
        GoogleBatchEmbed(),
        BedrockConverse(),
    )
}
"""Every wire shape by its name."""


def chat(shape: Shape) -> ChatShape:
    """``shape`` as a shape of conversation. Raises `NotExpressible` for one that is none."""
    if not hasattr(shape, "stream_decoder"):
        raise NotExpressible(f"{shape.name} is no conversation: it neither streams nor translates", param="stream")
    return cast("ChatShape", shape)


def streaming(shape: Shape) -> StreamingShape:
    """``shape`` as one that streams. Raises `NotExpressible` for one that never does."""
    if not hasattr(shape, "tap"):
        raise NotExpressible(f"{shape.name} has no streams", param="stream")
    return cast("StreamingShape", shape)
