"""Usage as Gemini counts it (https://ai.google.dev/api/generate-content#UsageMetadata)."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway.shapes import google_usage
from penstock.gateway.shapes.google_usage import UsageWire
from penstock.kernel.call import Usage

counts = st.integers(0, 10**6)


@settings(max_examples=50, derandomize=True)
@given(counts, counts, counts)
def test_what_is_written_is_read_the_same(given: int, said: int, part: int) -> None:
    usage = Usage(input=given, output=said + part, cached=min(part, given), reasoning=part, audio_input=min(part, given))
    assert google_usage.of_body(json.dumps({"usageMetadata": google_usage.to_object(usage)}).encode()) == usage


def test_later_counts_replace_earlier_ones_and_silence_does_not() -> None:
    early = msgspec.convert({"promptTokenCount": 9, "cachedContentTokenCount": 4}, UsageWire)
    late = msgspec.convert({"promptTokenCount": 9, "candidatesTokenCount": 3}, UsageWire)
    assert google_usage.from_wire(late.over(early)) == Usage(input=9, output=3, cached=4)
    assert late.over(None) is late


@pytest.mark.parametrize("body", [b"", b"[]", b'{"usageMetadata": 5}', b"\xff", b"{}", b'{"usageMetadata": null}'])
def test_where_there_is_none(body: bytes) -> None:
    assert google_usage.of_body(body) is None
    assert google_usage.of_count(body) is None


def test_absurd_counts_are_none() -> None:
    assert google_usage.of_body(b'{"usageMetadata": {"promptTokenCount": -5, "candidatesTokenCount": 1e300}}') == Usage()
