"""The benchmark measures what it says: sizes, replies, errors and arithmetic."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from benchmarks.gateway import bars
from benchmarks.gateway.load import Connection, LoadFailed, Request, latency, throughput
from benchmarks.gateway.measure import LARGE, SMALL
from benchmarks.gateway.mock import ANSWER, STREAM_EVENTS, Counts, Upstream


@pytest.fixture
def mock() -> Iterator[int]:
    """The mock upstream on a loop in another thread."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        counts = Counts()
        server = await loop.create_server(lambda: Upstream(counts, loop), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.mark.parametrize("size", [SMALL, LARGE, 777])
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_has_its_size_and_is_a_conversation(size: int, stream: bool) -> None:
    body = Request(1, "/", "m", size, stream).body()
    assert len(body) == size
    fields = json.loads(body)
    assert fields["model"] == "m"
    assert fields.get("stream", False) is stream
    assert {message["role"] for message in fields["messages"]} <= {"system", "user", "assistant"}


def test_the_mock_answers_and_streams(mock: int) -> None:
    connection = Connection(mock)
    for _ in range(2):  # twice on one connection
        status, body, _ = connection.exchange(Request(mock, "/v1/chat/completions", "m", LARGE).wire())
        assert status == 200
        assert json.loads(body)["choices"][0]["message"]["content"] == ANSWER
        status, body, first = connection.exchange(Request(mock, "/v1/chat/completions", "m", SMALL, stream=True).wire())
        assert status == 200
        assert first > 0
        assert body.count(b"data: ") == STREAM_EVENTS + 2  # usage and [DONE]
        assert b'"completion_tokens":198' in body
    connection.close()


def test_the_mock_takes_a_chunked_body_in_pieces(mock: int) -> None:
    connection = Connection(mock)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, body, _ = connection.exchange(head + b'5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n')
    assert status == 200
    assert ANSWER.encode() in body
    connection.close()


def test_latency_counts_whole_replies(mock: int) -> None:
    found = latency(Request(mock, "/v1/chat/completions", "m", SMALL), 0.1, warm_up=0.02)
    assert found.count >= 20
    assert 0 < found.p5 <= found.p50 <= found.p99
    assert found.first_p50 <= found.p50


@pytest.mark.parametrize("using", ["asyncio", "wrk"])
def test_throughput_counts_replies_and_streams(mock: int, tmp_path: Path, using: str) -> None:
    if using == "wrk":
        pytest.importorskip("shutil").which("wrk") or pytest.skip("wrk is not installed")
    for stream in (False, True):
        found = throughput(Request(mock, "/v1/chat/completions", "m", SMALL, stream), 4, 0.5, folder=tmp_path, using=using)
        assert found.count > 0
        assert found.per_second > 0


class _Refuses(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(429)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_a_refusal_voids_the_phase(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Refuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        request = Request(server.server_port, "/v1/chat/completions", "m", SMALL)
        with pytest.raises(LoadFailed, match="429"):
            latency(request, 0.1)
        with pytest.raises(LoadFailed, match="status"):
            throughput(request, 1, 0.3, folder=tmp_path, using="asyncio")
        server.shutdown()
        thread.join()


def test_added_latency_and_ratios_compare_within_a_round() -> None:
    mock = [{"c1.p5": 0.1}, {"c1.p5": 0.9}]
    ours = [{"c1.p5": 0.3, "c32.per_second": 100.0}, {"c1.p5": 1.1, "c32.per_second": 30.0}]
    theirs = [{"c32.per_second": 50.0}, {"c32.per_second": 10.0}]
    assert bars.added(ours, mock)["c1.p5"] == pytest.approx(0.2)
    assert bars.ratio(ours, theirs, "c32.per_second") == pytest.approx(2.5)
    assert bars.ratio(ours, [], "c32.per_second") is None


def test_a_bar_that_was_not_measured_does_not_hold() -> None:
    found = {bar.text: bar for bar in bars.bars({"mock": [{"c1.p5": 0.1}], "penstock": [{"c1.p5": 0.2, "c32.per_second": 4999.0}]})}
    assert found["added latency at c=1, p5, at most 0.25 ms"].holds is True
    assert found["requests/s from one worker at c=32, at least 5,000"].holds is False
    assert found["throughput at c=32 at least 3 x portkey"].holds is None
