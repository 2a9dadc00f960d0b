from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.observability.otlp.exports import TRACE

from penstock.kernel.errors import MalformedRequest
from penstock.observability.otlp.json_form import JsonReader
from penstock.observability.otlp.sent import Limits, Sent, Tally


def body(*spans: dict[str, Any], **more: Any) -> dict[str, Any]:
    scope = {"name": "lib", "version": "1"}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": list(spans)}]}], **more}


def span(**more: Any) -> dict[str, Any]:
    return {"traceId": TRACE.upper(), "spanId": "b7ad6b7169203331", "name": "s", "startTimeUnixNano": "1700000000000000000", **more}


def read(told: object, limits: Limits | None = None) -> tuple[list[Sent], Tally]:
    tally = Tally()
    data = told if isinstance(told, bytes) else msgspec.json.encode(told)
    return [one for one in JsonReader(data, limits or Limits(), tally).spans() if one is not None], tally


def test_a_span_has_all_that_was_sent() -> None:
    values = {
        "text": {"stringValue": "t"},
        "whole": {"intValue": "12"},
        "number": {"intValue": -3},
        "float": {"doubleValue": 0.5},
        "yes": {"boolValue": True},
        "list": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}]}},
        "map": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        "bytes": {"bytesValue": "aGk="},
        "none": {},
    }
    attributes = [{"key": key, "value": value} for key, value in values.items()]
    told = span(
        parentSpanId="",
        kind=3,
        endTimeUnixNano=1_700_000_001_000_000_000,
        attributes=attributes,
        events=[{"name": "e", "timeUnixNano": "5", "attributes": attributes[:1]}],
        links=[{"traceId": TRACE, "spanId": "b7ad6b7169203332"}],
        status={"code": 2, "message": "no"},
        aFieldOfTomorrow={},
    )
    (sent,), tally = read(body(told, another=1))
    assert (sent.trace, sent.span, sent.end - sent.start, sent.status, sent.message) == (TRACE, "b7ad6b7169203331", 10**9, 2, "no")
    assert sent.attributes == {
        "text": "t", "whole": 12, "number": -3, "float": 0.5, "yes": True, "list": ["a", 1], "map": {"k": "v"}, "bytes": "aGk=",
        "none": None,
    }  # fmt: skip
    assert (sent.events[0].attributes, sent.links[0].span, sent.origin.scope) == ({"text": "t"}, "b7ad6b7169203332", "lib")
    assert (tally.spans, tally.repaired, tally.refused) == (1, {}, {})


@pytest.mark.parametrize(
    "wrong",
    [{"startTimeUnixNano": "soon"}, {"attributes": [{"key": "n", "value": {"intValue": "9" * 30}}]}, {"name": 5}, {"traceId": "a" * 70}],
)
def test_a_wrong_span_leaves_the_others(wrong: dict[str, Any]) -> None:
    sent, tally = read(body(span(**wrong), span()))
    assert len(sent) == 1
    assert (tally.spans, tally.refused) == (2, {"malformed_span": 1})


def test_what_is_too_long_or_deep_is_cut_and_counted() -> None:
    deep: dict[str, Any] = {"stringValue": "x"}
    for _ in range(40):
        deep = {"arrayValue": {"values": [deep]}}
    pairs = [
        {"key": "deep", "value": deep},
        {"key": "long", "value": {"stringValue": "é" * 90}},
        {"key": "nul", "value": {"stringValue": "\0"}},
    ]
    (sent,), tally = read(body(span(attributes=pairs)), Limits(text_bytes=65))
    assert sent.attributes["long"] == "é" * 32
    assert sent.attributes["nul"] == "\ufffd"
    assert tally.repaired == {"too_deep": 1, "text_cut": 1, "nul": 1}


def test_an_id_that_is_no_hexadecimal_is_an_id_of_no_length() -> None:
    (sent,), _ = read(body(span(traceId="zz" * 16)))
    assert sent.trace == "0"


@settings(max_examples=80, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda i: st.lists(i, max_size=3), max_leaves=8))
def test_any_json_is_read_or_refused(told: object) -> None:
    try:
        read({"resourceSpans": [{"scopeSpans": [{"spans": told}]}]})
        read(body({"traceId": told, "attributes": told}))
    except MalformedRequest:
        pass


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"resourceSpans": 5}', b"{" * 500, b'{"resourceSpans":[{"scopeSpans":[{"spans":[\xff]}]}]}']
)
def test_what_is_no_export_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(data)
