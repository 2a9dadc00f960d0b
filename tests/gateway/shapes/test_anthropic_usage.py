from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.shapes.anthropic_usage import UsageWire, from_wire, of_body, to_object
from penstock.kernel.call import Usage

COUNTS = st.integers(0, 2**30)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_what_is_written_is_read_as_it_was(fresh: int, cached: int, written: int, said: int, thought: int) -> None:
    usage = Usage(input=fresh + cached + written, output=said + thought, cached=cached, cache_written=written, reasoning=thought)
    wire = to_object(usage)
    # Anthropic's input leaves out what the cache held; ours holds everything.
    assert wire["input_tokens"] == fresh
    assert of_body(json.dumps({"usage": wire}).encode()) == usage


def test_counts_of_a_stream_are_totals_so_far_and_silence_keeps_the_earlier_ones() -> None:
    start = msgspec.convert({"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}, UsageWire)
    delta = msgspec.convert({"output_tokens": 9}, UsageWire)
    assert from_wire(delta.over(start)) == Usage(input=15, output=9, cached=5)
    assert delta.over(None) is delta
    thought = msgspec.convert({"output_tokens": 12, "output_tokens_details": {"thinking_tokens": 4}}, UsageWire)
    assert from_wire(delta.over(thought)).reasoning == 4


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"usage":null}', b'{"usage":{"input_tokens":"x"}}', b"\xff"])
def test_where_there_is_no_usage_to_be_found(body: bytes) -> None:
    assert of_body(body) is None


def test_more_cached_than_counted_is_never_below_zero() -> None:
    assert to_object(Usage(input=1, cached=5))["input_tokens"] == 0
