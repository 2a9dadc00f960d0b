"""Penstock's memory over 200,000 requests and 2,000 aborted streams: flat within 5 % once warm, and nothing left running upstream.

Warm is after 50,000 requests and 200 aborted streams, when pools, caches and the allocator's arenas have their size. Then RSS is read
after every tenth of the requests and of the aborts; the bar is the largest distance of any reading from the first.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from benchmarks.gateway.load import Connection, LoadFailed, Request, throughput
from benchmarks.gateway.measure import SMALL, Started
from benchmarks.gateway.mock import SLOW_USER
from benchmarks.gateway.ours import Penstock

ALLOWED = 0.05
WARM_REQUESTS, WARM_ABORTS = 50_000, 200


def abort_streams(request: Request, count: int, *, at_once: int = 32) -> None:
    """Open ``count`` streams, read the first bytes of each and reset the connection."""
    wire = request.wire()

    def one(_: int) -> None:
        with socket.create_connection(("127.0.0.1", request.port), timeout=30) as connection:
            connection.sendall(wire)
            head = connection.recv(4096)
            if not head.startswith(b"HTTP/1.1 200"):
                raise LoadFailed(f"A stream to abort was refused: {head[:300]!r}")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(count)))


def streams_open(mock_port: int, wait: float = 10.0) -> int:
    """How many streams the mock still writes, once that is none or ``wait`` seconds have passed."""
    deadline = time.monotonic() + wait
    while True:
        connection = Connection(mock_port)
        _, body, _ = connection.exchange(b"GET /stats HTTP/1.1\r\nHost: mock\r\n\r\n")
        connection.close()
        still = int(json.loads(body)["streams_open"])
        if not still or time.monotonic() > deadline:
            return still
        time.sleep(0.05)


def main(home: Path, folder: Path, mock_port: int, *, quick: bool) -> int:
    """Run it, print each reading and the verdict. Returns the exit status."""
    requests, aborts = (20_000, 200) if quick else (200_000, 2_000)
    ours = Penstock()
    ours.install(home)
    with Started(ours, home, folder / "memory", mock_port) as started:
        plain = ours.request(started.port, SMALL, stream=False)
        slow = replace(ours.request(started.port, SMALL, stream=True), user=SLOW_USER)
        _requests(plain, WARM_REQUESTS, folder)
        abort_streams(slow, WARM_ABORTS)
        streams_open(mock_port)
        readings = [_settled(started, "warm")]
        for step in range(1, 11):
            done = _requests(plain, requests // 10, folder)
            readings.append(_settled(started, f"{step}/10 of the requests ({done:,} in this step)"))
        for step in range(1, 11):
            abort_streams(slow, aborts // 10)
            left = streams_open(mock_port)
            readings.append(_settled(started, f"{step}/10 of the aborts ({left} streams still open upstream)"))
            if left:
                print(f"MISS  {left} streams went on upstream after their clients had left.")
                return 1
    apart = max(abs(reading - readings[0]) / readings[0] for reading in readings)
    holds = apart <= ALLOWED
    print(
        f"{'pass' if holds else 'MISS'}  memory within {ALLOWED:.0%} over {requests:,} requests and {aborts:,} aborted streams: {apart:.1%}"
    )
    return 0 if holds else 1


def _settled(started: Started, when: str) -> float:
    time.sleep(1.0)  # a batch of records may still be on its way to disk
    rss = started.process.usage().rss_mb
    print(f"{rss:8.1f} MB  {when}", flush=True)
    return rss


def _requests(request: Request, count: int, folder: Path) -> int:
    done = 0
    while done < count:
        some = throughput(request, 32, 2, folder=folder).count
        if not some:
            raise LoadFailed("Penstock stopped answering.")
        done += some
    return done
