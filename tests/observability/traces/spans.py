"""Spans for tests of traces."""

from __future__ import annotations

import json
from typing import Any

from penstock.storage.telemetry.questions import Stored
from penstock.storage.telemetry.span import Payload, Span

NOW = 1_800_000_000_000_000_000
MS = 1_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(id: int, parent: int = 0, start: float = 0.0, took: float = 100.0, **fields: Any) -> Span:
    """A span that begins ``start`` ms after `NOW` and takes ``took`` ms."""
    begin = fields.pop("at", NOW) + int(start * MS)
    given = {"trace_id": TRACE, "name": f"span {id}", "organisation": "org", **fields}
    return Span(span_id=f"{id:016x}", parent_id=f"{parent:016x}" if parent else "", start_ns=begin, end_ns=begin + int(took * MS), **given)


def stored(*spans: Span) -> list[Stored]:
    """As a store gives them."""
    return [Stored(span=one, payload=one.payload is not None) for one in sorted(spans, key=lambda one: (one.start_ns, one.span_id))]


def messages(*said: tuple[str, str]) -> str:
    """Messages as they are stored: pairs of role and text."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said])


def call(id: int, parent: int, asked: str, told: str, **fields: Any) -> Span:
    """A call of a model with its prompt and reply."""
    payload = Payload(input=messages(("system", "Be brief."), ("user", asked)), output=messages(("assistant", told)))
    given = {"kind": "call", "name": "chat m-1", "model": "m-1", "provider": "up", "input_tokens": 20, "output_tokens": 5, **fields}
    return span(id, parent, payload=payload, **given)
