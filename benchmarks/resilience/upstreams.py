"""``python -m benchmarks.resilience.upstreams SECONDS``: the four providers in trouble, and the one that fails TLS.

Prints its ports as one line of JSON, follows the script from the moment at which a line comes on standard input, and prints, when that is
closed, what each provider was asked: ``[second, how often]`` pairs since then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter

from benchmarks.resilience.script import PROVIDERS, trouble

WORDS = 8
USAGE = {"prompt_tokens": 20, "completion_tokens": WORDS, "total_tokens": 20 + WORDS}
REPLY = json.dumps(
    {
        "id": "chatcmpl-drill",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * WORDS}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
HEAD = b'data: {"id":"chatcmpl-drill","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
WORD = HEAD + b'"delta":{"role":"assistant","content":"word "},"finish_reason":null}]}\n\n'
LAST = HEAD + b'"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
OPEN_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Provider:
    """One of the four."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.asked: Counter[int] = Counter()
        self.began: float | None = None
        self._seconds = seconds

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
                body = await reader.readexactly(length)
                if not await self._answer(writer, bool(json.loads(body).get("stream"))):
                    break
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, stream: bool) -> bool:
        passed = time.monotonic() - self.began if self.began is not None else 0.0
        self.asked[int(passed)] += 1
        wrong = trouble(self.name, passed / self._seconds)
        kind = wrong.kind if wrong is not None and random.random() < wrong.share else "none"
        await asyncio.sleep(random.uniform(0.03, 0.12))
        match kind:
            case "brown-out":
                await _whole(writer, b'{"error":{"message":"overloaded"}}', b"503 Service Unavailable")
            case "429":
                after = b"retry-after: 1\r\n" if random.random() < 0.5 else b""
                await _whole(writer, b'{"error":{"message":"slow down"}}', b"429 Too Many Requests", after)
            case "reset":
                writer.transport.abort()
                return False
            case "partial":
                part = OPEN_STREAM + _piece(WORD) * 2 if stream else b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n" + REPLY[:100]
                writer.write(part)
                await writer.drain()
                writer.transport.abort()
                return False
            case _:
                if kind == "latency":
                    await asyncio.sleep(5)
                if stream:
                    writer.write(OPEN_STREAM + _piece(WORD) * WORDS + _piece(LAST) + b"0\r\n\r\n")
                    await writer.drain()
                else:
                    await _whole(writer, REPLY, b"200 OK")
        return True


async def _whole(writer: asyncio.StreamWriter, body: bytes, status: bytes, extra: bytes = b"") -> None:
    writer.write(b"HTTP/1.1 %s\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s" % (status, extra, len(body), body))
    await writer.drain()


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    writer.close()


async def serve(seconds: float) -> None:
    """Until standard input is closed."""
    providers = [Provider(name, seconds) for name in PROVIDERS]
    ports: dict[str, int] = {}
    for provider in providers:
        server = await asyncio.start_server(provider.converse, "127.0.0.1", 0)
        ports[provider.name] = server.sockets[0].getsockname()[1]
    plain = await asyncio.start_server(_no_tls, "127.0.0.1", 0)
    ports["tls"] = plain.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began = time.monotonic()
    for provider in providers:
        provider.began = began
        provider.asked.clear()
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({p.name: sorted(p.asked.items()) for p in providers}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
