"""The load: what is sent, and how fast the answers come back.

Latency at concurrency 1 is taken by a loop over one blocking socket with ``perf_counter_ns`` around send and receive. Throughput is
taken by ``wrk`` (one thread) where it is installed, since it costs less processor time than anything in Python, and otherwise by an
asyncio client on uvloop in a process of its own; the result says which. A reply counts only when its status is 200, a stream only when
its last chunk has come.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

WORDS = "the gate and the pipe that put a river to work before the turbine turns and the valley lights up "


class LoadFailed(RuntimeError):
    """A reply was wrong, missing or cut; the figures of this phase would mean nothing."""


@dataclass(frozen=True)
class Request:
    """One request, sent again and again. ``size``: bytes of the JSON body, exactly. ``headers``: beyond host and length."""

    port: int
    path: str
    model: str
    size: int
    stream: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str | None = None

    def body(self) -> bytes:
        """A conversation of messages of at most 4 KB, whose JSON is ``size`` bytes."""
        content: list[dict[str, str]] = [{"role": "system", "content": "You are a careful engineer."}]
        fields: dict[str, object] = {"model": self.model, "messages": content, "temperature": 0.2, "max_tokens": 256}
        if self.stream:
            fields |= {"stream": True, "stream_options": {"include_usage": True}}
        if self.user:
            fields["user"] = self.user
        while (short := self.size - len(_compact(fields))) > 60:
            role = "assistant" if len(content) % 2 == 0 else "user"
            room = short - len(_compact({"role": role, "content": ""})) - 1
            content.append({"role": role, "content": (WORDS * 50)[: min(4000, room)]})
        content[0]["content"] += "." * (self.size - len(_compact(fields)))
        return _compact(fields)

    def wire(self) -> bytes:
        body = self.body()
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Connection:
    """One blocking keep-alive connection that can read one reply at a time, by length or by chunks."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, wire: bytes) -> tuple[int, bytes, int]:
        """Send; read the whole reply. Returns the status, the bytes after the head, and when (perf_counter_ns) the first of them came."""
        receive = self._socket.recv
        self._socket.sendall(wire)
        data = receive(262144)
        end = data.find(b"\r\n\r\n")
        while end < 0:
            more = receive(262144)
            if not more:
                raise LoadFailed(f"The connection closed before a reply: {data[:200]!r}.")
            data += more
            end = data.find(b"\r\n\r\n")
        first = time.perf_counter_ns() if len(data) > end + 4 else 0
        status = int(data[9:12])
        length = _length(data[:end])
        parts = [data[end + 4 :]]
        received = len(parts[0])
        tail = parts[0][-7:]
        while received < length if length is not None else not tail.endswith(b"\r\n0\r\n\r\n"):
            more = receive(262144)
            if not more:
                raise LoadFailed(f"The connection closed inside a reply after {received} bytes.")
            first = first or time.perf_counter_ns()
            parts.append(more)
            received += len(more)
            tail = (tail + more)[-7:]
        return status, b"".join(parts), first

    def close(self) -> None:
        self._socket.close()


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _length(head: bytes) -> int | None:
    """The declared length; None when the body is chunked."""
    found = _LENGTH.search(head)
    return int(found.group(1)) if found else None


@dataclass(frozen=True)
class Latency:
    """Milliseconds at concurrency 1, from before the send until the last byte; ``first_*``: until the first byte of the body."""

    p5: float
    p50: float
    p99: float
    first_p5: float
    first_p50: float
    first_p99: float
    count: int


def latency(request: Request, seconds: float, *, warm_up: float = 0.3) -> Latency:
    """Send one request after the other for ``seconds``; the replies of the first ``warm_up`` seconds are not counted."""
    connection = Connection(request.port)
    wire = request.wire()
    clock = time.perf_counter_ns
    exchange = connection.exchange
    begin = clock() + int(warm_up * 1e9)
    end = begin + int(seconds * 1e9)
    whole: list[int] = []
    first: list[int] = []
    try:
        while True:
            sent = clock()
            status, body, first_at = exchange(wire)
            done = clock()
            if status != 200:
                raise LoadFailed(f"Status {status}: {body[:300]!r}.")
            if sent >= begin:
                whole.append(done - sent)
                first.append(first_at - sent)
            if done >= end and len(whole) >= 20:
                break
    finally:
        connection.close()
    whole.sort()
    first.sort()
    return Latency(*(_at(values, share) for values in (whole, first) for share in (0.05, 0.5, 0.99)), count=len(whole))


def _at(ordered: list[int], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6


@dataclass(frozen=True)
class Throughput:
    """Replies per second at one concurrency, and how many replies that was. ``p50``, ``p99``: milliseconds under that load."""

    per_second: float
    count: int
    p50: float
    p99: float


_LUA = """
wrk.method = "POST"
wrk.path = "%s"
wrk.body = [==[%s]==]
%s
done = function(summary, latency, requests)
  local e = summary.errors
  local form = '\\nRESULT {"count":%%d,"micros":%%d,"p50":%%d,"p99":%%d,"errors":' ..
    '{"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d}}\\n'
  io.write(string.format(form,
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.connect, e.read, e.write, e.status, e.timeout))
end
"""


def generator() -> str:
    """Which program makes the concurrent load here."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def throughput(request: Request, concurrency: int, seconds: float, *, folder: Path, using: str | None = None) -> Throughput:
    """Keep ``concurrency`` requests in flight for ``seconds``. Raises LoadFailed when any reply was not 200 or a connection broke."""
    if (using or generator()) == "asyncio":
        command = [sys.executable, "-m", "benchmarks.gateway.load_asyncio", str(concurrency), str(seconds), str(request.port)]
        answer = subprocess.run(command, input=request.wire(), capture_output=True, timeout=seconds + 60, check=False)
        output = answer.stdout.decode() + answer.stderr.decode()
    else:
        script = folder / "load.lua"
        headers = {"Content-Type": "application/json", **request.headers}
        lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
        script.write_text(_LUA % (request.path, request.body().decode(), lines))
        whole = max(1, round(seconds))
        url = f"http://127.0.0.1:{request.port}{request.path}"
        command = [
            "wrk",
            "-t1",
            f"-c{concurrency}",
            f"-d{whole}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
            url,
        ]
        output = subprocess.run(command, capture_output=True, text=True, timeout=whole + 60, check=False).stdout
    found = re.search(r"^RESULT (.*)$", output, re.MULTILINE)
    if not found:
        raise LoadFailed(f"The load generator gave no result: {output[-500:]}")
    result = json.loads(found.group(1))
    if any(result["errors"].values()):
        raise LoadFailed(f"{result['count']} replies at concurrency {concurrency}, with errors: {result['errors']}.")
    return Throughput(result["count"] / (result["micros"] / 1e6), result["count"], result["p50"] / 1e3, result["p99"] / 1e3)
