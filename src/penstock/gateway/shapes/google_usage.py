"""Usage as Gemini counts it, to and from the normal form (https://ai.google.dev/api/generate-content#UsageMetadata).

``promptTokenCount`` holds what was read from the cache; ``candidatesTokenCount`` leaves out the thoughts, and ``toolUsePromptTokenCount``
(results of tools that Google runs) stands beside the prompt. Ours hold everything.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from penstock.gateway.shapes.openai_usage import Count, count
from penstock.kernel.call import Usage


class _Share(Struct, rename="camel"):
    modality: str = ""
    token_count: Count = None


class UsageWire(Struct, rename="camel"):
    """``usageMetadata`` of a reply or of one chunk of a stream, whose counts are totals so far."""

    prompt_token_count: Count = None
    cached_content_token_count: Count = None
    candidates_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    thoughts_token_count: Count = None
    prompt_tokens_details: list[_Share] | None = None
    candidates_tokens_details: list[_Share] | None = None

    def over(self, earlier: UsageWire | None) -> UsageWire:
        """These counts, with ``earlier`` ones where these say nothing."""
        if earlier is None:
            return self
        fields = self.__struct_fields__
        return UsageWire(**{name: _or(getattr(self, name), getattr(earlier, name)) for name in fields})


def _or(value: Any, earlier: Any) -> Any:
    return earlier if value is None else value


class _Body(Struct, rename="camel"):
    usage_metadata: UsageWire | None = None


class _CountBody(Struct, rename="camel"):
    total_tokens: Count = None
    cached_content_token_count: Count = None


_BODY = msgspec.json.Decoder(_Body)
_COUNTED = msgspec.json.Decoder(_CountBody)


def from_wire(wire: UsageWire) -> Usage:
    """The usage of a reply."""
    thoughts = count(wire.thoughts_token_count)
    return Usage(
        input=count(wire.prompt_token_count) + count(wire.tool_use_prompt_token_count),
        output=count(wire.candidates_token_count) + thoughts,
        cached=count(wire.cached_content_token_count),
        reasoning=thoughts,
        audio_input=_audio(wire.prompt_tokens_details),
        audio_output=_audio(wire.candidates_tokens_details),
    )


def _audio(shares: list[_Share] | None) -> int:
    return sum(count(share.token_count) for share in shares or () if share.modality == "AUDIO")


def of_body(body: bytes) -> Usage | None:
    """The usage in a whole reply; None when there is none to be found."""
    try:
        wire = _BODY.decode(body).usage_metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if wire is None else from_wire(wire)


def of_count(body: bytes) -> Usage | None:
    """Counted tokens, none of them spent on a reply; None when there are none to be found."""
    try:
        wire = _COUNTED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if wire.total_tokens is None:
        return None
    return Usage(input=count(wire.total_tokens), cached=count(wire.cached_content_token_count))


def to_object(usage: Usage) -> dict[str, Any]:
    """``usage`` as a reply writes it."""
    said = max(0, usage.output - usage.reasoning)
    written: dict[str, Any] = {"promptTokenCount": usage.input, "candidatesTokenCount": said, "totalTokenCount": usage.total}
    if usage.cached:
        written["cachedContentTokenCount"] = usage.cached
    if usage.reasoning:
        written["thoughtsTokenCount"] = usage.reasoning
    for name, audio, all_ in (
        ("promptTokensDetails", usage.audio_input, usage.input),
        ("candidatesTokensDetails", usage.audio_output, said),
    ):
        if audio:
            text = {"modality": "TEXT", "tokenCount": max(0, all_ - audio)}
            written[name] = [text, {"modality": "AUDIO", "tokenCount": audio}]
    return written
