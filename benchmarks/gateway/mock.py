"""The upstream of the benchmark: an OpenAI-compatible chat endpoint that replies at once, on loopback.

It is the limit that every gateway is held against, so it does as little as HTTP allows: a raw ``asyncio.Protocol`` on uvloop,
replies made before the first request, and no look at the body beyond two substring searches (is it a stream, does the caller
want usage). It understands ``Content-Length`` and chunked request bodies, keep-alive and pipelining; nothing else.

A stream is 200 events, each its own HTTP chunk and its own write, one per turn of the loop: a client therefore sees them
arrive separately when it keeps up, and several at a time when it does not, as it would from a real provider. A request that
names the user ``bench-slow`` gets them 5 ms apart instead, so that a client can leave in the middle.

Run alone with ``python -m benchmarks.gateway.mock --port 9000``; it prints ``ready <port>`` once it listens. ``GET /stats`` answers
how many requests were answered, how many streams were ended by the other side, and how many streams are open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Iterator
from typing import cast

STREAM_EVENTS = 200
SLOW_USER = "bench-slow"
SLOW_SECONDS = 0.005
PROMPT_TOKENS = 12
ANSWER = "A penstock is the gate and the pipe that put a river to work."


def _answer_json() -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "gpt-4o-mini",
            "system_fingerprint": "fp_bench",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": ANSWER, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 15, "total_tokens": PROMPT_TOKENS + 15},
        },
        separators=(",", ":"),
    ).encode()


def _event(delta: dict[str, str], finish: str | None, usage: dict[str, int] | None, choices: bool = True) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body: dict[str, object] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_bench",
        "choices": [choice] if choices else [],
    }
    if usage is not None:
        body["usage"] = usage
    return _http_chunk(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stream_writes(with_usage: bool) -> list[bytes]:
    """The writes of one stream: 200 events (the first names the role, the last finishes), then usage when asked, then the end."""
    events = [_event({"role": "assistant", "content": ""}, None, None)]
    events += [_event({"content": f" word{i}"}, None, None) for i in range(STREAM_EVENTS - 2)]
    events.append(_event({}, "stop", None))
    if with_usage:
        total = PROMPT_TOKENS + STREAM_EVENTS - 2
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": STREAM_EVENTS - 2, "total_tokens": total}
        events.append(_event({}, None, usage, choices=False))
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
        b"x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    events[0] = head + events[0]
    events.append(_http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    return events


def _reply(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_SLOW = SLOW_USER.encode()
PLAIN = _reply(b"200 OK", _answer_json())
MODELS = _reply(b"200 OK", b'{"object":"list","data":[{"id":"gpt-4o-mini","object":"model","created":1700000000,"owned_by":"bench"}]}')
STREAM = _stream_writes(with_usage=False)
STREAM_WITH_USAGE = _stream_writes(with_usage=True)


class Counts:
    """What the mock has done since it started."""

    def __init__(self) -> None:
        self.answered = 0
        self.streams_open = 0
        self.streams_cut = 0


class Upstream(asyncio.Protocol):
    """One connection. Requests on it are answered in order; a pipelined one waits for the stream before it."""

    def __init__(self, counts: Counts, loop: asyncio.AbstractEventLoop) -> None:
        self._counts = counts
        self._loop = loop
        self._pending = b""
        self._streaming = False
        self._closed = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True

    def data_received(self, data: bytes) -> None:
        self._pending = self._pending + data if self._pending else data
        while self._pending and not self._streaming:
            head_end = self._pending.find(b"\r\n\r\n")
            if head_end < 0:
                return
            body_start = head_end + 4
            head = self._pending[:body_start].lower()
            end = _body_end(head, self._pending, body_start)
            if end < 0:
                return
            body = self._pending[body_start:end]
            self._pending = self._pending[end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        transport = self._transport
        assert transport is not None  # data never arrives before connection_made
        self._counts.answered += 1
        if head.startswith(b"get /stats"):
            stats = json.dumps(vars(self._counts)).encode()
            transport.write(_reply(b"200 OK", stats))
        elif head.startswith(b"get "):
            transport.write(MODELS)
        elif b'"stream":true' in body or b'"stream": true' in body:
            wants_usage = b'"include_usage":true' in body or b'"include_usage": true' in body
            self._streaming = True
            self._counts.streams_open += 1
            pause = SLOW_SECONDS if _SLOW in body else 0.0
            self._next(iter(STREAM_WITH_USAGE if wants_usage else STREAM), pause)
        else:
            transport.write(PLAIN)

    def _next(self, writes: Iterator[bytes], pause: float) -> None:
        transport = self._transport
        assert transport is not None
        piece = None if self._closed else next(writes, None)
        if piece is not None:
            transport.write(piece)
            if pause:
                self._loop.call_later(pause, self._next, writes, pause)
            else:
                self._loop.call_soon(self._next, writes, pause)
            return
        self._streaming = False
        self._counts.streams_open -= 1
        if self._closed:
            self._counts.streams_cut += 1
        elif self._pending:
            self.data_received(b"")


def _body_end(head: bytes, data: bytes, start: int) -> int:
    """Where the body of the request ends in ``data``; -1 while it has not all arrived."""
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        length = int(head[at + 17 : head.index(b"\r\n", at + 2)])
        return start + length if len(data) >= start + length else -1
    if b"\r\ntransfer-encoding: chunked" in head:
        while True:
            line_end = data.find(b"\r\n", start)
            if line_end < 0:
                return -1
            size = int(data[start:line_end].split(b";")[0], 16)
            start = line_end + 2 + size + 2
            if len(data) < start:
                return -1
            if size == 0:
                return start
    return start


async def serve(port: int) -> None:
    """Listen on loopback until SIGTERM or SIGINT; print the port once ready."""
    loop = asyncio.get_running_loop()
    counts = Counts()
    server = await loop.create_server(lambda: Upstream(counts, loop), "127.0.0.1", port, backlog=1024)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible upstream that replies at once.")
    parser.add_argument("--port", type=int, default=0, help="Loopback port; 0 takes a free one.")
    arguments = parser.parse_args()
    import uvloop  # only the process that serves needs it; the replies above are importable without

    uvloop.run(serve(arguments.port))


if __name__ == "__main__":
    main()
