from __future__ import annotations

import pytest

from penstock.gateway.shapes.decoder import EventDecoder
from penstock.kernel import messages as m
from penstock.kernel.errors import UpstreamMalformed, UpstreamReset


class Lines(EventDecoder):
    """Every event is a text, ``end`` the last one, ``bad`` none of ours."""

    def _see(self, data: bytes, deltas: list[m.Delta]) -> None:
        if data == b"bad":
            raise UpstreamMalformed("no")
        if data == b"end":
            self.finished = True
        else:
            deltas.append(m.TextDelta(data.decode()))


def test_events_come_one_at_a_time_however_they_are_cut_and_none_after_the_end() -> None:
    stream = b": hello\n\ndata: a\n\ndata: b\n\ndata: end\n\ndata: late\n\n"
    for size in (1, 7, len(stream)):
        decoder = Lines()
        found = [delta for at in range(0, len(stream), size) for delta in decoder.feed(stream[at : at + size])]
        assert [*found, *decoder.close()] == [m.TextDelta("a"), m.TextDelta("b")]
        assert decoder.finished


def test_a_last_event_without_its_empty_line_still_counts() -> None:
    decoder = Lines()
    assert decoder.feed(b"data: a\n\ndata: end") == [m.TextDelta("a")]
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("stream", "said"), [(b"data: a\n\n", "before the reply was complete"), (b"data: a\n\ndata: bad", "inside an event")]
)
def test_a_stream_that_stops_early_is_a_reset(stream: bytes, said: str) -> None:
    decoder = Lines()
    decoder.feed(stream)
    with pytest.raises(UpstreamReset, match=said):
        decoder.close()
