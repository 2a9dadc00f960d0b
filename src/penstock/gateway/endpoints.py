"""The paths that the gateway answers, and the shape that each speaks."""

from __future__ import annotations

import msgspec

from penstock.gateway.address import MODEL, STREAMING, VERSIONS


class Path(msgspec.Struct, frozen=True):
    """One path, the name of the shape it speaks, and what it is in a few words."""

    path: str
    shape: str
    summary: str


_GOOGLE = (
    ("generateContent", "google.generate", "Gemini content."),
    (STREAMING, "google.generate", "Gemini content as a stream."),
    ("countTokens", "google.count_tokens", "Gemini token counting."),
    ("embedContent", "google.embed", "One Gemini embedding."),
    ("batchEmbedContents", "google.batch_embed", "Gemini embeddings."),
)
PATHS: tuple[Path, ...] = (
    Path("/v1/chat/completions", "openai.chat", "OpenAI chat completions."),
    Path("/v1/responses", "openai.responses", "OpenAI responses."),
    Path("/v1/completions", "openai.completions", "OpenAI's older completions."),
    Path("/v1/embeddings", "openai.embeddings", "OpenAI embeddings."),
    Path("/v1/moderations", "openai.moderations", "OpenAI moderations."),
    Path("/v1/audio/transcriptions", "openai.transcriptions", "OpenAI transcriptions: a recording as text."),
    Path("/v1/audio/translations", "openai.translations", "OpenAI translations: a recording as English text."),
    Path("/v1/audio/speech", "openai.speech", "OpenAI speech: a text as sound."),
    Path("/v1/images/generations", "openai.images", "OpenAI images from a text."),
    Path("/v1/images/edits", "openai.image_edits", "OpenAI images from images and a text."),
    Path("/v1/images/variations", "openai.image_variations", "OpenAI images like another one."),
    Path("/v1/rerank", "jina.rerank", "Reranking in Jina's shape (also Cohere's first version)."),
    Path("/v2/rerank", "cohere.rerank", "Reranking in the shape of Cohere's second version."),
    Path("/v1/messages", "anthropic.messages", "Anthropic messages."),
    Path("/v1/messages/count_tokens", "anthropic.count_tokens", "Anthropic token counting."),
    *(Path(f"/{version}/models/{MODEL}:{method}", name, summary) for version in VERSIONS for method, name, summary in _GOOGLE),
)
"""OpenAI's SDK takes ``/v1`` as part of ``base_url``; Anthropic's, Cohere's and Google's add their own."""
