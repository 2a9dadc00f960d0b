"""The concurrent load where ``wrk`` is not installed: raw keep-alive connections on uvloop, in a process of its own.

``python -m benchmarks.gateway.load_asyncio CONCURRENCY SECONDS PORT`` with the request's bytes on standard input; prints one line
``RESULT {json}`` with the same fields as the ``wrk`` script in ``load.py`` writes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Tally:
    def __init__(self, concurrency: int, seconds: float) -> None:
        self.end = time.perf_counter() + seconds
        self.open = concurrency
        self.micros: list[float] = []
        self.bad_status = 0
        self.broken = 0
        self.finished = asyncio.Event()

    def leave(self) -> None:
        self.open -= 1
        if not self.open:
            self.finished.set()


class Client(asyncio.Protocol):
    """Sends its request, waits for the whole reply, sends it again, until the time is up."""

    def __init__(self, wire: bytes, tally: Tally) -> None:
        self._wire = wire
        self._tally = tally
        self._left = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._head = b""
        self._missing: int | None = None
        self._tail = b""
        self._sent = time.perf_counter()
        self._transport.write(self._wire)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if self._head[9:12] != b"200":
                self._tally.bad_status += 1
            found = _LENGTH.search(self._head, 0, end)
            self._missing = int(found.group(1)) if found else None
            data = self._head[end + 4 :]
            self._head = None
        if self._missing is not None:
            self._missing -= len(data)
            whole = self._missing <= 0
        else:
            self._tail = (self._tail + data)[-7:]
            whole = self._tail.endswith(b"\r\n0\r\n\r\n")
        if not whole:
            return
        now = time.perf_counter()
        self._tally.micros.append((now - self._sent) * 1e6)
        if now < self._tally.end:
            self._send()
        else:
            self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._left:
            self._tally.broken += 1
            self._leave()

    def _leave(self) -> None:
        self._left = True
        assert self._transport is not None
        self._transport.close()
        self._tally.leave()


async def _run(concurrency: int, seconds: float, port: int, wire: bytes) -> None:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    tally = Tally(concurrency, seconds)
    await asyncio.gather(*(loop.create_connection(lambda: Client(wire, tally), "127.0.0.1", port) for _ in range(concurrency)))
    await tally.finished.wait()
    micros = sorted(tally.micros) or [0.0]
    result = {
        "count": len(tally.micros),
        "micros": (time.perf_counter() - began) * 1e6,
        "p50": micros[len(micros) // 2],
        "p99": micros[int(len(micros) * 0.99)],
        "errors": {"status": tally.bad_status, "read": tally.broken},
    }
    print("RESULT", json.dumps(result), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_run(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.stdin.buffer.read()))
