from __future__ import annotations

import msgspec

from penstock.gateway.recordings import Capture


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def test_a_stream_is_taken_down_with_its_times():
    clock = Clock()
    capture = Capture("openai.chat", {"model": b'"m"'}, clock)
    clock.now += 0.1
    capture.head(200, [("Content-Type", "text/event-stream"), ("Set-Cookie", "secret")])
    clock.now += 0.1
    capture.chunk(b"a")
    clock.now += 0.1
    capture.chunk(b"b")
    clock.now += 0.05
    exchange = capture.streamed()
    assert [(round(ms), data) for ms, data in exchange.chunks or ()] == [(200, b"a"), (300, b"b")]
    assert (round(exchange.first_byte_ms), round(exchange.total_ms)) == (200, 350)
    assert exchange.headers == [("content-type", "text/event-stream")]
    assert exchange.model == "m"
    assert exchange.recorded_at > 1.7e9


def test_a_whole_reply_begins_with_its_head():
    clock = Clock()
    capture = Capture("openai.embeddings", {"model": msgspec.Raw(b'"e"')}, clock)
    clock.now += 0.25
    capture.head(503, [])
    clock.now += 0.25
    exchange = capture.whole(b"body")
    assert (exchange.status, exchange.body, round(exchange.first_byte_ms), round(exchange.total_ms)) == (503, b"body", 250, 500)


def test_a_stream_without_a_byte_is_still_an_exchange():
    capture = Capture("openai.chat", {})
    capture.head(200, [])
    assert capture.streamed().chunks == []
