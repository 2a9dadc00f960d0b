"""Server-sent events as the standard has them, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.shapes import sse
from penstock.gateway.shapes.sse import EventCutter, data_of, event
from penstock.kernel.errors import UpstreamMalformed


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """What comes out for a stream that arrives in pieces of these sizes, again and again, its end last."""
    cutter, out, at = EventCutter(), [], 0
    while at < len(stream):
        size = sizes[len(out) % len(sizes)]
        out.append(cutter.feed(stream[at : at + size]))
        at += size
    return [*out, cutter.close()]


LINES = st.sampled_from(
    [b"data: a", b"data: b", b"data:", b": still here", b"event: x", b"id: 7", b"retry: 5", b"", b"", b"data: \xc3\xa9"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(LINES, max_size=12), ENDS, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.booleans())
def test_however_it_is_cut_the_same_events_come_out(lines: list[bytes], end: bytes, sizes: list[int], marked: bool) -> None:
    plain = b"".join(line + b"\n" for line in lines)
    wire = (b"\xef\xbb\xbf" if marked else b"") + b"".join(line + end for line in lines)

    def events(stream: bytes) -> list[bytes | None]:
        return [data_of(piece.strip(b"\n") + b"\n") for piece in stream.split(b"\n\n") if piece.strip(b"\n")]

    out = cut(wire, sizes)
    assert events(b"".join(out)) == events(plain)
    # Every piece that comes out holds whole events only.
    assert all(piece.endswith(b"\n\n") for piece in out if piece)


def test_a_chunk_of_whole_events_goes_through_untouched() -> None:
    chunk = b"data: 1\n\ndata: 2\n\n"
    assert EventCutter().feed(chunk) is chunk


def test_what_is_left_at_the_end_is_an_event() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: 1\n\ndata: 2") == b"data: 1\n\n"
    assert cutter.close() == b"data: 2\n\n"
    assert cutter.close() == b""


def test_an_event_without_end_is_refused_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    cutter = EventCutter()
    with pytest.raises(UpstreamMalformed, match="more than 1000 bytes"):
        b"".join(cutter.feed(b"x" * 100) for _ in range(20))


@pytest.mark.parametrize(
    ("given", "data"),
    [
        (b"data: a\n", b"a"),
        (b"data:a\n", b"a"),
        (b"data:  a\n", b" a"),
        (b"data: a\ndata: b\n", b"a\nb"),
        (b"data: a\ndata\n", b"a"),
        (b"event: x\ndata: a\nid: 7\nretry: 10\n", b"a"),
        (b": a comment\n", None),
        (b"event: ping\n", None),
        (b"data:\n", b""),
    ],
)
def test_the_data_of_an_event(given: bytes, data: bytes | None) -> None:
    assert data_of(given) == data


@pytest.mark.parametrize("given", [b'{"a": 1}\n', b"<html>\n", b"dat: a\n", b"data: a\nnonsense\n"])
def test_what_no_event_stream_has_is_refused(given: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        data_of(given)


@given(st.binary(max_size=30).filter(lambda data: b"\n" not in data and b"\r" not in data), st.sampled_from([None, b"done"]))
def test_an_event_that_is_sent_is_read_as_it_was(data: bytes, name: bytes | None) -> None:
    assert data_of(event(data, name).removesuffix(b"\n")) == data
