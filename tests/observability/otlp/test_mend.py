from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.observability.otlp.exports import NOW, a_span, read, request

from penstock.observability.otlp.mend import count_once, mend
from penstock.observability.otlp.sent import Sent, Tally
from penstock.storage.telemetry.span import Span

MINUTE = 60 * 10**9


def mended(*spans: dict[str, Any]) -> tuple[list[Sent], Tally]:
    sent, _ = read(request(*spans).SerializeToString())
    tally = Tally()
    return mend(sent, NOW, MINUTE, tally), tally


def test_sound_spans_are_left_alone() -> None:
    kept, tally = mended(a_span(), a_span(id=2, parent=1), a_span(id=3, parent=99))
    assert [span.parent[-2:] for span in kept] == ["", "01", "63"]
    assert (tally.refused, tally.repaired) == ({}, {})


def test_ids_that_are_none_are_refused() -> None:
    kept, tally = mended(a_span(id=0), a_span(trace="00" * 16), a_span(trace="ab"), a_span(id=4))
    assert [span.span[-1] for span in kept] == ["4"]
    assert tally.refused == {"invalid_id": 3}


def test_a_parent_of_the_wrong_length_is_removed() -> None:
    made = request(a_span(), a_span(id=2))
    spans = made.resource_spans[0].scope_spans[0].spans
    spans[0].parent_span_id, spans[1].parent_span_id = b"abc", bytes(8)
    sent, _ = read(made.SerializeToString())
    tally = Tally()
    assert [span.parent for span in mend(sent, NOW, MINUTE, tally)] == ["", ""]
    assert tally.repaired == {"invalid_parent": 1}


@pytest.mark.parametrize(
    ("start", "end", "reason", "expected"),
    [
        (0, 0, "no_time", (NOW, NOW)),
        (0, NOW - 5, "no_time", (NOW - 5, NOW - 5)),
        (NOW - 5, 0, "no_time", (NOW - 5, NOW - 5)),
        (NOW - 5, NOW - 9, "end_before_start", (NOW - 5, NOW - 5)),
        (NOW + 10 * MINUTE, NOW + 11 * MINUTE, "future", (NOW - MINUTE, NOW)),
        (NOW - MINUTE, NOW + 5 * MINUTE, "future", (NOW - 6 * MINUTE, NOW)),
    ],
)
def test_times_that_do_not_hold_together_are_repaired(start: int, end: int, reason: str, expected: tuple[int, int]) -> None:
    (span,), tally = mended(a_span(start=start, end=end))
    assert (span.start, span.end) == expected
    assert tally.repaired == {reason: 1}


@pytest.mark.parametrize(("start", "end"), [(5, 6), (1_700_000_000, 1_700_000_001), (NOW, (1 << 64) - 1)])
def test_numbers_that_are_no_times_are_refused(start: int, end: int) -> None:
    kept, tally = mended(a_span(start=start, end=end), a_span(id=2))
    assert len(kept) == 1
    assert tally.refused == {"time_out_of_range": 1}


def test_a_clock_that_is_ahead_is_set_back_for_all_spans_together() -> None:
    hour = 60 * MINUTE
    kept, tally = mended(a_span(start=NOW + hour, end=NOW + hour + 100), a_span(id=2, parent=1, start=NOW + hour + 10, end=NOW + hour + 50))
    assert [(span.start - NOW, span.end - NOW) for span in kept] == [(-100, 0), (-90, -50)]
    assert kept[0].attributes["penstock.moved_back_ns"] == hour + 100
    assert tally.repaired == {"clock_skew": 2}


def test_one_span_from_the_future_does_not_move_the_others() -> None:
    kept, tally = mended(a_span(), a_span(id=2, start=NOW + 9 * MINUTE, end=NOW + 9 * MINUTE + 7))
    assert [(span.start - NOW, span.end - NOW) for span in kept] == [(-(10**9), 0), (-7, 0)]
    assert tally.repaired == {"future": 1}


def test_the_same_span_twice_is_kept_once_and_two_of_one_id_are_told() -> None:
    kept, tally = mended(a_span({"a": 1}), a_span({"a": 1}), a_span({"a": 2}))
    assert [span.attributes for span in kept] == [{"a": 1}]
    assert (tally.repaired, tally.refused) == ({"duplicate_dropped": 1}, {"duplicate": 1})


def test_one_id_in_two_traces_is_two_spans() -> None:
    kept, tally = mended(a_span(), a_span(trace="1f" * 16))
    assert len(kept) == 2
    assert not tally.refused


def test_a_circle_of_parents_is_opened_at_its_earliest_span() -> None:
    kept, tally = mended(
        a_span(id=1, parent=3),
        a_span(id=2, parent=1, start=NOW - 2 * 10**9),
        a_span(id=3, parent=2),
        a_span(id=4, parent=1),
        a_span(id=5, parent=5),
    )
    assert {int(span.span, 16): int(span.parent or "0", 16) for span in kept} == {1: 3, 2: 0, 3: 2, 4: 1, 5: 0}
    assert tally.repaired == {"cyclic_parent": 2}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_after_mending_every_span_has_a_root(parents: list[int]) -> None:
    kept, _ = mended(*(a_span(id=n + 1, parent=parent) for n, parent in enumerate(parents)))
    above = {span.span: span.parent for span in kept}
    for span in kept:
        at, steps = span.span, 0
        while above.get(at):
            at, steps = above[at], steps + 1
            assert steps <= len(kept)


def test_a_call_within_a_call_is_counted_once() -> None:
    def call(id: str, parent: str, **more: Any) -> Span:
        return Span(trace_id="t", span_id=id, parent_id=parent, start_ns=0, end_ns=1, kind="call", input_tokens=5, output_tokens=2, **more)

    spans = [call("a", "", cost_micros=9, currency="USD", attributes='{"x":1}'), call("b", "a"), call("c", "")]
    count_once(spans)
    told = [(span.kind, span.input_tokens, span.cost_micros) for span in spans]
    assert told == [
        ("step", None, None),
        ("call", 5, None),
        ("call", 5, None),
    ]
    assert msgspec.json.decode(spans[0].attributes) == {
        "x": 1, "penstock.counted_within": "b", "sum.input_tokens": 5, "sum.output_tokens": 2, "sum.cost_micros": 9,
    }  # fmt: skip


def test_a_call_without_tokens_around_a_call_is_none() -> None:
    spans = [Span(trace_id="t", span_id=id, parent_id=parent, start_ns=0, end_ns=1, kind="call") for id, parent in ("ab", "b ", "cb", "d ")]
    spans[1].parent_id = ""
    count_once(spans)
    assert [(span.span_id, span.kind) for span in spans] == [("a", "call"), ("b", "step"), ("c", "call"), ("d", "call")]
