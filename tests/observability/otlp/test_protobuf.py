from __future__ import annotations

import base64
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.observability.otlp.exports import TRACE, a_span, read, request

from penstock.kernel.errors import MalformedRequest
from penstock.observability.otlp import seen, wire
from penstock.observability.otlp.sent import Limits


def plain(value: AnyValue) -> Any:
    """What OpenTelemetry's own classes read."""
    which = value.WhichOneof("value")
    if which == "array_value":
        return [plain(one) for one in value.array_value.values]
    if which == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return None if which is None else getattr(value, which)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts | st.binary(max_size=150)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(texts, values, max_size=6), min_size=1, max_size=3))
def test_what_is_read_is_what_opentelemetry_reads(spans: list[dict[str, Any]]) -> None:
    made = request(*(a_span(one, id=n + 1, events=[("e", one)]) for n, one in enumerate(spans)))
    data = made.SerializeToString()
    for _ in range(2):  # the second time small attributes come out of the table
        sent, tally = read(data)
        theirs = ExportTraceServiceRequest.FromString(data).resource_spans[0].scope_spans[0].spans
        assert [one.attributes for one in sent] == [{kv.key: plain(kv.value) for kv in span.attributes} for span in theirs]
        assert [one.events[0].attributes for one in sent] == [one.attributes for one in sent]
        assert not tally.refused
        assert not tally.repaired


names = st.text("Ja\n\x12", max_size=8)
odd = st.text("JJJa\n\x12\x0f", max_size=60) | st.integers(0, 2**14) | st.integers(70, 80) | st.text("J", min_size=60, max_size=140)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, odd, max_size=8), st.dictionaries(names, odd, max_size=8), st.integers(0, 2), st.randoms())
def test_fields_may_come_in_any_order_and_hold_what_looks_like_the_next(
    some: dict[str, Any], more: dict[str, Any], status: int, random: Random
) -> None:
    made = request(a_span(some, name="JJ\nJ", parent=0x4A4A, status=status, events=[("e", more)]))
    span = made.resource_spans[0].scope_spans[0].spans[0]
    others = request(a_span(some | more)).resource_spans[0].scope_spans[0].spans[0]
    raw = span.SerializeToString()
    fields_of = [raw[a:b] for a, b in _fields(raw)] + [b"\x4a" + _sized(one.SerializeToString()) for one in others.attributes]
    random.shuffle(fields_of)
    for whole in (raw, b"".join(fields_of)):
        theirs = Span.FromString(whole)
        for _ in range(2):
            (ours,), tally = read(b"\x0a" + _sized(b"\x12" + _sized(b"\x12" + _sized(whole))))
            assert ours.attributes == {pair.key: plain(pair.value) for pair in theirs.attributes}
            assert (ours.trace, ours.span, ours.parent) == (theirs.trace_id.hex(), theirs.span_id.hex(), theirs.parent_span_id.hex())
            assert (ours.name, ours.kind, ours.status) == (theirs.name, theirs.kind, theirs.status.code)
            assert (ours.start, ours.end) == (theirs.start_time_unix_nano, theirs.end_time_unix_nano)
            assert [one.attributes for one in ours.events] == [{pair.key: plain(pair.value) for pair in theirs.events[0].attributes}]
            assert not tally.refused
            assert not tally.repaired


def _fields(raw: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(raw):
        stop = wire.skip(raw, at)
        yield at, stop
        at = stop


def test_a_large_span_full_of_what_looks_like_attributes_is_not_split() -> None:
    whole = request(a_span({f"k{n}": "J" * 20_000 for n in range(20)} | {"last": "x"})).SerializeToString()
    (span,), _ = read(whole)
    assert span.attributes == {f"k{n}": "J" * 20_000 for n in range(20)} | {"last": "x"}


def test_a_span_has_all_that_was_sent() -> None:
    made = request(a_span({"a": 1}, id=2, parent=1, events=[("boom", {"x": "y"})], status=2, message="no"))
    link = made.resource_spans[0].scope_spans[0].spans[0].links.add()
    link.trace_id, link.span_id = bytes.fromhex(TRACE), (7).to_bytes(8, "big")
    (span,), tally = read(made.SerializeToString())
    assert (span.trace, span.span, span.parent, span.name, span.kind) == (TRACE, "0" * 15 + "2", "0" * 15 + "1", "a span", 3)
    assert (span.end - span.start, span.status, span.message) == (10**9, 2, "no")
    assert (span.events[0].name, span.events[0].attributes, span.links[0].span) == ("boom", {"x": "y"}, "0" * 15 + "7")
    assert (span.origin.resource["service.name"], span.origin.scope, span.origin.version) == ("agent", "a.library", "3")
    assert tally.spans == 1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    whole = request(a_span({"a": "b", "n": [1, {"k": "v"}]}, events=[("e", {"x": 1})]), a_span({"c": 2.5}, id=2)).SerializeToString()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]]))
    try:
        spans, tally = read(damaged)
    except MalformedRequest:
        return
    assert len(spans) + tally.refused.total() == tally.spans


def test_a_body_that_ends_too_early_is_no_request() -> None:
    whole = request(a_span({"a": "b"})).SerializeToString()
    with pytest.raises(MalformedRequest, match="not an ExportTraceServiceRequest"):
        read(whole[:-3])


def test_a_damaged_span_leaves_the_others() -> None:
    whole = request(a_span({"first": "x"}), a_span({"second": "y" * 200}, id=2)).SerializeToString()
    at = whole.index(b"first") - 1
    spans, tally = read(whole[:at] + b"\x7f" + whole[at + 1 :])
    assert [list(span.attributes) for span in spans] == [["second"]]
    assert tally.refused == {"malformed_span": 1}


def test_wrong_text_is_repaired_each_time() -> None:
    whole = request(a_span({"a": "wrong: XX", "b": "nul: \0"}), a_span({"a": "wrong: XX"}, id=2)).SerializeToString()
    for _ in range(2):
        spans, tally = read(whole.replace(b"XX", b"\xff\xfe"))
        assert [span.attributes["a"] for span in spans] == ["wrong: \ufffd\ufffd"] * 2
        assert spans[0].attributes["b"] == "nul: \ufffd"
        assert tally.repaired == {"invalid_utf8": 2, "nul": 1}


def test_fifty_megabytes_of_an_attribute_are_cut_without_being_copied() -> None:
    whole = request(a_span({"big": "é" * 25_000_000, "small": 1})).SerializeToString()
    (span,), tally = read(whole)
    assert len(span.attributes["big"].encode()) == 131_072
    assert span.attributes["small"] == 1
    assert tally.repaired == {"text_cut": 1}


def test_a_cut_never_leaves_half_a_character() -> None:
    (span,), tally = read(request(a_span({"big": "é" * 60})).SerializeToString(), Limits(text_bytes=65))
    assert span.attributes["big"] == "é" * 32
    assert tally.repaired == {"text_cut": 1}


def test_one_span_has_so_much_room_and_no_more() -> None:
    whole = request(a_span({f"k{n}": "x" * 900 for n in range(20)})).SerializeToString()
    (span,), tally = read(whole, Limits(span_bytes=5000))
    assert sum(len(one) for one in span.attributes.values()) < 5000
    assert tally.repaired["text_cut"] > 0


def test_what_there_is_too_many_of_is_left_out_and_counted() -> None:
    made = request(a_span({f"k{n}": n for n in range(9)} | {"list": list(range(8))}, events=[("e", {})] * 7))
    (span,), tally = read(made.SerializeToString(), Limits(attributes=5, events=5))
    assert (len(span.attributes), len(span.events)) == (5, 5)
    assert tally.repaired == {"attributes_dropped": 8 - 3 + 1, "events_dropped": 2}


def test_nesting_has_an_end() -> None:
    deep: Any = "bottom"
    for _ in range(60):
        deep = [deep]
    (span,), tally = read(request(a_span({"deep": deep})).SerializeToString())
    assert str(span.attributes["deep"]).count("[") == 32
    assert tally.repaired == {"too_deep": 1}


def test_unknown_fields_are_skipped() -> None:
    made = request(a_span({"a": 1}))
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.flags, span.dropped_attributes_count, span.trace_state = 0x101, 5, "a=b"
    bare = span.SerializeToString()
    more = bare + b"\xaa\x06\x03xyz" + b"\xa8\x06\x07" + b"\xad\x06" + bytes(4)  # fields 101, as no version has them
    framed = b"\x0a" + _sized(b"\x12" + _sized(b"\x12" + _sized(more)))
    (read_span,), tally = read(framed)
    assert read_span.attributes == {"a": 1}
    assert not tally.refused


def _sized(data: bytes) -> bytes:
    length, out = len(data), b""
    while length > 127:
        out, length = out + bytes([length & 127 | 128]), length >> 7
    return out + bytes([length]) + data


def test_the_table_of_small_attributes_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 50)
    for start in range(0, 400, 20):
        spans, _ = read(request(*(a_span({f"k{n}": f"v{n}"}, id=n + 1) for n in range(start, start + 20))).SerializeToString())
        assert [span.attributes for span in spans] == [{f"k{n}": f"v{n}"} for n in range(start, start + 20)]
    assert len(seen.seen) <= 50
