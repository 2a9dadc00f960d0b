"""A provider on loopback that answers each chat completion after a while and remembers for whom it did.

The field ``user`` of a request names its line (``line-17``), and the answer's text repeats it, so that a result can be told to be its
line's own. ``GET /stats`` says how often each line was asked. Run with ``python -m benchmarks.batches.upstream --seconds 0.05``; it prints
``ready PORT``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
from collections import Counter

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_USER = re.compile(rb'"user": ?"([a-z]+)-(\d+)"')


class Seen:
    """How often each line was asked, and how many calls were in flight at most."""

    def __init__(self) -> None:
        self.lines: Counter[int] = Counter()
        self.others = 0
        self.in_flight = 0
        self.most = 0

    def stats(self) -> dict[str, int]:
        return {
            "asked": self.lines.total(),
            "lines": len(self.lines),
            "repeated": self.lines.total() - len(self.lines),
            "most_of_one": max(self.lines.values(), default=0),
            "others": self.others,
            "most_in_flight": self.most,
        }


class Provider(asyncio.Protocol):
    """One connection; requests come one after another."""

    def __init__(self, seen: Seen, seconds: float) -> None:
        self._seen = seen
        self._seconds = seconds
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._held, 0, end)
            size = int(length[1]) if length is not None else 0
            if len(self._held) < end + 4 + size:
                return
            head, body = bytes(self._held[:end]), bytes(self._held[end + 4 : end + 4 + size])
            del self._held[: end + 4 + size]
            self._request(head, body)

    def _request(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._write(json.dumps(self._seen.stats()).encode())
            return
        found = _USER.search(body)
        user = "nobody" if found is None else f"{found[1].decode()}-{found[2].decode()}"
        if found is not None and found[1] == b"line":
            self._seen.lines[int(found[2])] += 1
        else:
            self._seen.others += 1
        self._seen.in_flight += 1
        self._seen.most = max(self._seen.most, self._seen.in_flight)
        asyncio.get_running_loop().call_later(self._seconds, self._answer, user)

    def _answer(self, user: str) -> None:
        self._seen.in_flight -= 1
        message = {"role": "assistant", "content": f"the answer for {user}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48}
        self._write(
            json.dumps(
                {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage},
                separators=(",", ":"),
            ).encode()
        )

    def _write(self, body: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def main(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    seen = Seen()
    server = await loop.create_server(lambda: Provider(seen, seconds), "127.0.0.1", 0)
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await over.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.05)
    asyncio.run(main(parser.parse_args().seconds))
