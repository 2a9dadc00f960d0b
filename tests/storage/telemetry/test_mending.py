from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from penstock.storage.telemetry.mending import mend, mended
from penstock.storage.telemetry.span import Span

from .conftest import a_span, said


def test_a_span_that_is_well_stays_as_it_is() -> None:
    span = a_span(payload=said("ünïcode"), flagged=True)
    before = msgspec.structs.replace(span)
    assert mend(span)
    assert span == before


def test_what_no_database_holds_is_taken_out() -> None:
    span = a_span(name="a\0b", message="half \ud800", input_tokens=2**80, parent_id="xyz", payload=said("\0q", "r\0"))
    assert mend(span)
    assert (span.name, span.message, span.input_tokens, span.parent_id) == ("ab", "half ?", 2**63 - 1, "")
    assert span.payload == said("q", "r")


@pytest.mark.parametrize(
    "wrong", [{"trace_id": "ab"}, {"span_id": "G" * 16}, {"start_ns": -1}, {"start_ns": 9, "end_ns": 8}, {"start_ns": 1, "end_ns": 2**64}]
)
def test_a_span_that_is_none_is_left_out(wrong: dict[str, object]) -> None:
    assert not mend(a_span(**wrong))


def test_a_file_is_written_anew_without_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = a_span(name="good")
    path.write_bytes(msgspec.json.Encoder().encode_lines([good, a_span(trace_id="no")]) + b'{"torn\n\xff\xfe\n')
    assert mended(path) == 3
    assert msgspec.json.Decoder(Span).decode_lines(path.read_bytes()) == [good]
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]
