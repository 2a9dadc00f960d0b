from __future__ import annotations

import msgspec

from penstock.storage.telemetry.span import DIMENSIONS, FIELDS, Payload, Span


def test_a_span_says_only_what_is_known_and_comes_back_as_it_was() -> None:
    span = Span(trace_id="ab" * 16, span_id="cd" * 8, start_ns=1, end_ns=2, input_tokens=0, payload=Payload(input="hello"))

    said = msgspec.json.encode(span)

    assert set(msgspec.json.decode(said)) == {"trace_id", "span_id", "start_ns", "end_ns", "input_tokens", "payload"}
    assert msgspec.json.decode(said, type=Span) == span


def test_what_is_asked_by_is_a_field() -> None:
    assert set(FIELDS) >= DIMENSIONS
    assert "payload" not in FIELDS
