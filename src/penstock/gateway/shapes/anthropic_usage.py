"""Usage as Anthropic counts it, to and from the normal form.

Anthropic's ``input_tokens`` leaves out what was read from the cache and written to it; ours holds everything
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from penstock.gateway.shapes.openai_usage import Count, count
from penstock.kernel.call import Usage


class _OutputDetails(Struct):
    thinking_tokens: Count = None


class UsageWire(Struct):
    """``usage`` of a message, of its start, or of a ``message_delta``, whose counts are totals so far."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    output_tokens_details: _OutputDetails | None = None

    def over(self, earlier: UsageWire | None) -> UsageWire:
        """These counts, with ``earlier`` ones where these say nothing."""
        if earlier is None:
            return self
        return UsageWire(
            earlier.input_tokens if self.input_tokens is None else self.input_tokens,
            earlier.output_tokens if self.output_tokens is None else self.output_tokens,
            earlier.cache_read_input_tokens if self.cache_read_input_tokens is None else self.cache_read_input_tokens,
            earlier.cache_creation_input_tokens if self.cache_creation_input_tokens is None else self.cache_creation_input_tokens,
            self.output_tokens_details or earlier.output_tokens_details,
        )


class _Body(Struct):
    usage: UsageWire | None = None


_BODY = msgspec.json.Decoder(_Body)


def from_wire(wire: UsageWire) -> Usage:
    """The usage of a message."""
    cached = count(wire.cache_read_input_tokens)
    written = count(wire.cache_creation_input_tokens)
    details = wire.output_tokens_details
    return Usage(
        input=count(wire.input_tokens) + cached + written,
        output=count(wire.output_tokens),
        cached=cached,
        cache_written=written,
        reasoning=count(details.thinking_tokens) if details is not None else 0,
    )


def of_body(body: bytes) -> Usage | None:
    """The usage in a whole message; None when there is none to be found."""
    try:
        wire = _BODY.decode(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if wire is None else from_wire(wire)


def to_object(usage: Usage) -> dict[str, Any]:
    """``usage`` as a message writes it."""
    written: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_written),
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written
