"""Spans in batches that a store takes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.storage.telemetry.span import Span

PIECE = 4 << 20
"""Characters of spans that are appended at once. A store takes 48 MiB, and a character may be six bytes of it."""


def size_of(span: Span) -> int:
    """About how many characters a span takes, its prompt and reply included."""
    size = 512 + len(span.attributes) + len(span.events) + len(span.links) + len(span.resource) + len(span.message)
    if span.payload is not None:
        size += len(span.payload.input) + len(span.payload.output)
    return size


def pieces(spans: Sequence[Span]) -> Iterator[Sequence[Span]]:
    """Batches that a store takes, the same ones whenever the same spans come."""
    begin = size = 0
    for at, span in enumerate(spans):
        size += size_of(span)
        if size > PIECE:
            yield spans[begin : at + 1]
            begin, size = at + 1, 0
    if begin < len(spans):
        yield spans[begin:]
