"""A stream that is passed on, watched."""

from __future__ import annotations

import pytest

from penstock.gateway.shapes.tap import Tap
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed, UpstreamReset


class Eye:
    """Sees numbers: hides 0, ends at 9, fails at 5; anything else is no event of its shape."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self.looked = 0

    def quiet(self, chunk: bytes) -> bool:
        return not any(mark in chunk for mark in (b"0", b"9", b"5", b"x"))

    def see(self, data: bytes) -> bool:
        self.looked += 1
        if data == b"9":
            self.finished, self.finish_reason, self.usage = True, "stop", Usage(input=1)
        if data.startswith((b"5", b"x")):
            raise UpstreamMalformed("no event")
        return data != b"0"


def events(*data: str) -> bytes:
    return b"".join(f"data: {one}\n\n".encode() for one in data)


def test_what_holds_nothing_of_interest_is_not_looked_at_and_not_copied() -> None:
    eye = Eye()
    tap = Tap(eye, ())
    chunk = events("1", "2")
    assert tap.feed(chunk) is chunk
    assert eye.looked == 0


def test_what_the_client_did_not_ask_for_is_left_out() -> None:
    assert Tap(Eye(), ()).feed(events("1", "0", "2")) == events("1", "2")
    assert Tap(Eye(), ()).feed(events("0")) == b""


def test_the_end_is_noticed_and_nothing_after_it_is_part_of_the_reply() -> None:
    tap = Tap(Eye(), ())
    assert tap.feed(events("1", "9", "2")) == events("1", "9")
    assert (tap.finished, tap.finish_reason, tap.usage) == (True, "stop", Usage(input=1))
    assert tap.close() == b""


@pytest.mark.parametrize("stream", [b"", events("1"), b"data: 1"])
def test_a_stream_without_its_end_was_cut_short(stream: bytes) -> None:
    tap = Tap(Eye(), ())
    tap.feed(stream)
    with pytest.raises(UpstreamReset):
        tap.close()


def test_half_an_event_at_the_end_is_a_cut_and_in_the_middle_a_fault() -> None:
    tap = Tap(Eye(), ())
    tap.feed(b"data: x")
    with pytest.raises(UpstreamReset, match="inside an event"):
        tap.close()
    with pytest.raises(UpstreamMalformed):
        Tap(Eye(), ()).feed(events("5"))


def test_an_end_that_comes_without_its_empty_line_counts() -> None:
    tap = Tap(Eye(), ())
    assert tap.feed(b"data: 9") == b""
    assert tap.close() == b"data: 9\n\n"
    assert tap.finished


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('{"content":"hello"}', 5),
        ('{"content": "hello"}', 5),
        ('{"content":null}', 0),
        ('{"content":""}', 0),
        ('{"a":{"content":"ab"},"b":{"content":"cd"}}', 4),
        ('{"other":"hello"}', 0),
        ('{"content":"\u00e9"}', 2),
    ],
)
def test_generated_text_is_counted_for_an_estimate(text: str, size: int) -> None:
    tap = Tap(Eye(), (b'"content":', b'"thinking":'))
    tap.feed(f"data: {text}\n\n".encode())
    assert tap.output_bytes == size
