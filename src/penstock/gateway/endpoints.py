"""The paths that the gateway answers, the shape that each speaks, and how the OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

JSON = "application/json"
EVENTS = "text/event-stream"
FORM = "multipart/form-data"


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """One path: the name of the shape it speaks, and schemas of what it takes. ``answers`` are the media types of its good replies."""

    path: str
    shape: str
    summary: str
    request: Mapping[str, Any]
    takes: str = JSON
    answers: tuple[str, ...] = (JSON,)


def _body(*required: str, model: bool = True, **properties: dict[str, Any]) -> dict[str, Any]:
    # The vendors' own documents describe the rest; unknown fields pass through.
    return {
        "type": "object",
        "required": [*(["model"] if model else []), *required],
        "properties": {"model": {"type": "string"}, **properties},
    }


def _form(*files: str, **properties: dict[str, Any]) -> dict[str, Any]:
    uploads: dict[str, dict[str, Any]] = {name: {"type": "string", "format": "binary"} for name in files}
    return _body(*files, model=True, **{**uploads, **properties})


_STREAM = {"type": "boolean"}
_MESSAGES = {"type": "array", "items": {"type": "object"}}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 1}

PATHS: tuple[Path, ...] = (
    Path(
        path="/v1/chat/completions",
        shape="openai.chat",
        summary="OpenAI chat completions.",
        request=_body("messages", messages=_MESSAGES, stream=_STREAM),
        answers=(JSON, EVENTS),
    ),
    Path(
        path="/v1/responses",
        shape="openai.responses",
        summary="OpenAI responses, without stored state.",
        request=_body("input", input={}, stream=_STREAM),
        answers=(JSON, EVENTS),
    ),
    Path(
        path="/v1/completions",
        shape="openai.completions",
        summary="OpenAI's older completions.",
        request=_body("prompt", prompt={}, stream=_STREAM),
        answers=(JSON, EVENTS),
    ),
    Path(path="/v1/embeddings", shape="openai.embeddings", summary="OpenAI embeddings.", request=_body("input", input={})),
    Path(
        path="/v1/audio/transcriptions",
        shape="openai.transcriptions",
        summary="OpenAI transcriptions: a recording as text.",
        request=_form("file", stream=_STREAM, response_format=_TEXT, language=_TEXT, prompt=_TEXT),
        takes=FORM,
        answers=(JSON, EVENTS, "text/plain"),
    ),
    Path(
        path="/v1/audio/translations",
        shape="openai.translations",
        summary="OpenAI translations: a recording as English text.",
        request=_form("file", response_format=_TEXT, prompt=_TEXT),
        takes=FORM,
        answers=(JSON, "text/plain"),
    ),
    Path(
        path="/v1/audio/speech",
        shape="openai.speech",
        summary="OpenAI speech: a text as sound.",
        request=_body("input", input=_TEXT, voice={}, response_format=_TEXT),
        answers=("application/octet-stream", "audio/mpeg", EVENTS, JSON),
    ),
    Path(
        path="/v1/images/generations",
        shape="openai.images",
        summary="OpenAI images from a text.",
        request=_body("prompt", prompt=_TEXT, n=_COUNT, stream=_STREAM),
        answers=(JSON, EVENTS),
    ),
    Path(
        path="/v1/images/edits",
        shape="openai.image_edits",
        summary="OpenAI images from images and a text; also takes JSON that names images by address.",
        request=_form("image", prompt=_TEXT, stream=_STREAM),
        takes=FORM,
        answers=(JSON, EVENTS),
    ),
    Path(
        path="/v1/images/variations",
        shape="openai.image_variations",
        summary="OpenAI images like another one.",
        request=_form("image"),
        takes=FORM,
    ),
    Path(
        path="/v1/moderations",
        shape="openai.moderations",
        summary="OpenAI moderations; the model may be left out.",
        request=_body("input", model=False, input={}),
    ),
    Path(
        path="/v1/rerank",
        shape="jina.rerank",
        summary="Reranking in Jina's shape (also Cohere's first version).",
        request=_body("query", "documents", query={}, documents={"type": "array"}, top_n=_COUNT, return_documents={"type": "boolean"}),
    ),
    Path(
        path="/v2/rerank",
        shape="cohere.rerank",
        summary="Reranking in the shape of Cohere's second version.",
        request=_body("query", "documents", query=_TEXT, documents={"type": "array"}, top_n=_COUNT),
    ),
    Path(
        path="/v1/messages",
        shape="anthropic.messages",
        summary="Anthropic messages.",
        request=_body("messages", "max_tokens", messages=_MESSAGES, max_tokens=_COUNT, stream=_STREAM),
        answers=(JSON, EVENTS),
    ),
    Path(
        path="/v1/messages/count_tokens",
        shape="anthropic.count_tokens",
        summary="Anthropic token counting.",
        request=_body("messages", messages=_MESSAGES),
    ),
)
"""OpenAI's SDK takes ``/v1`` as part of ``base_url``; Anthropic's adds it by itself."""
