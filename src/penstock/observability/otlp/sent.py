"""A span as its sender said it, whatever bytes it came in, before any convention is read out of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

Attributes = dict[str, Any]
"""By key: text, whole numbers, floats, booleans, lists and dictionaries of them, None. Bytes have become base64 text."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one span is read. What is beyond is cut off or left out, and counted."""

    text_bytes: int = 131_072
    """Of one text; a longer one is cut."""
    attributes: int = 512
    """Of one span, event, link or resource, and entries of one list or dictionary."""
    events: int = 512
    """Of one span, and links as many."""
    depth: int = 32
    """Of lists and dictionaries within each other."""
    span_bytes: int = 4_194_304
    """Of all texts of one span together; what is beyond is left out."""


class Tally:
    """What was wrong with one request: ``refused`` and ``repaired`` count by reason (`penstock.observability.otlp.reasons`)."""

    __slots__ = ("refused", "repaired", "spans")

    def __init__(self) -> None:
        self.spans = 0
        self.refused: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()


class Origin(msgspec.Struct, frozen=True):
    """What a group of spans has in common: the attributes of its resource, and the library that made them."""

    resource: Attributes
    scope: str = ""
    version: str = ""
    attributes: Attributes = {}


class SentEvent(msgspec.Struct):
    """Something that happened within a span, at ``at`` (Unix nanoseconds)."""

    name: str
    at: int
    attributes: Attributes


class SentLink(msgspec.Struct):
    """Another span that has to do with this one; ids in hexadecimal."""

    trace: str
    span: str
    attributes: Attributes


class Sent(msgspec.Struct):
    """One span. Ids are lower-case hexadecimal, ``parent`` is empty at a root, times are Unix nanoseconds, ``kind`` and ``status`` are
    OTLP's numbers (status 2 is an error)."""

    trace: str
    span: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    attributes: Attributes
    events: list[SentEvent]
    links: list[SentLink]
    status: int
    message: str
    origin: Origin
