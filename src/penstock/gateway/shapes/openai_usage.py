"""Usage as OpenAI's APIs count it, to and from the normal form.

Chat and embeddings say prompt and completion tokens, Responses says input and output tokens. Cached, reasoning and audio tokens are parts
of these; but xAI's reasoning tokens stand beside them (https://docs.x.ai/docs/key-information/consumption-and-rate-limits). DeepSeek's
older form of cached tokens (``prompt_cache_hit_tokens``) is understood as well.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from penstock.kernel.call import Usage

Count = int | float | None


class _InputDetails(Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None


class _OutputDetails(Struct):
    reasoning_tokens: Count = None
    audio_tokens: Count = None


class ChatUsage(Struct):
    """``usage`` of chat completions and embeddings."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: Count = None


class ResponsesUsage(Struct):
    """``usage`` of Responses."""

    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _ChatBody(Struct):
    usage: ChatUsage | None = None


class _ResponsesBody(Struct):
    usage: ResponsesUsage | None = None


_CHAT_BODY = msgspec.json.Decoder(_ChatBody)
_RESPONSES_BODY = msgspec.json.Decoder(_ResponsesBody)
_NO_INPUT = _InputDetails()
_NO_OUTPUT = _OutputDetails()
# Counts end up in 64-bit columns; beyond this figure a provider counts nonsense.
_MOST = 2**40


def count(value: Count) -> int:
    """A count as a provider wrote it, made whole and sane: absent, negative or absurd counts are 0."""
    return int(value) if value is not None and 0 <= value < _MOST else 0


def from_chat(wire: ChatUsage) -> Usage:
    """The usage of a chat completion or an embedding."""
    read = wire.prompt_tokens_details or _NO_INPUT
    written = wire.completion_tokens_details or _NO_OUTPUT
    read_in_all, said, thought = count(wire.prompt_tokens), count(wire.completion_tokens), count(written.reasoning_tokens)
    if thought and count(wire.total_tokens) == read_in_all + said + thought:
        said += thought  # xAI counts thoughts beside the completion, not in it, which only the sum tells
    return Usage(
        input=read_in_all,
        output=said,
        cached=count(read.cached_tokens) or count(wire.prompt_cache_hit_tokens),
        cache_written=count(read.cache_write_tokens),
        reasoning=thought,
        audio_input=count(read.audio_tokens),
        audio_output=count(written.audio_tokens),
    )


def from_responses(wire: ResponsesUsage) -> Usage:
    """The usage of a response."""
    read = wire.input_tokens_details or _NO_INPUT
    written = wire.output_tokens_details or _NO_OUTPUT
    return Usage(
        input=count(wire.input_tokens),
        output=count(wire.output_tokens),
        cached=count(read.cached_tokens),
        cache_written=count(read.cache_write_tokens),
        reasoning=count(written.reasoning_tokens),
    )


def of_chat_body(body: bytes) -> Usage | None:
    """The usage in a whole chat completion or embedding; None when there is none to be found."""
    try:
        wire = _CHAT_BODY.decode(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if wire is None else from_chat(wire)


def of_responses_body(body: bytes) -> Usage | None:
    """The usage in a whole response; None when there is none to be found."""
    try:
        wire = _RESPONSES_BODY.decode(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if wire is None else from_responses(wire)


def chat_object(usage: Usage) -> dict[str, Any]:
    """``usage`` as chat completions write it."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output},
    }


def responses_object(usage: Usage) -> dict[str, Any]:
    """``usage`` as Responses writes it."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_written},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
