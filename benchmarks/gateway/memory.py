"""Penstock's memory over 200,000 requests and 2,000 aborted streams: flat within 5 % once warm, and nothing left running upstream.

Warm is after 50,000 requests and 200 aborted streams, when pools, caches and the allocator's arenas have their size. Then RSS is read
after every tenth of the requests and of the aborts. The bar: no reading is more than 5 % away from the median of all. Beside it stands the
trend, which is what a leak would show: the median of the last three readings of a phase against that of its first three.
Of a reading, ``anonymous`` is what the process allocated; the rest are pages of files (code, the ledger's mapped spool) that the kernel
may take back.
"""

from __future__ import annotations

import json
import socket
import statistics
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.gateway.load import Connection, LoadFailed, Request, throughput
from benchmarks.gateway.machine import describe
from benchmarks.gateway.measure import SMALL, Started
from benchmarks.gateway.mock import SLOW_USER
from benchmarks.gateway.ours import Penstock

ALLOWED = 0.05
WARM_REQUESTS, WARM_ABORTS = 50_000, 200


@dataclass(frozen=True)
class Reading:
    """Resident memory of Penstock's process at one moment, 10^6 bytes."""

    when: str
    rss_mb: float
    anonymous_mb: float


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


def main(home: Path, folder: Path, mock_port: int, *, quick: bool, output: Path | None) -> int:
    """Run it, print each reading and the verdict, write them to ``output``. Returns the exit status."""
    requests, aborts = (20_000, 200) if quick else (200_000, 2_000)
    ours = Penstock()
    ours.install(home)
    machine = describe()
    asked: list[Reading] = []
    aborted: list[Reading] = []
    left = 0
    with Started(ours, home, folder / "memory", mock_port) as started:
        plain = ours.request(started.port, SMALL, stream=False)
        slow = replace(ours.request(started.port, SMALL, stream=True), user=SLOW_USER)
        _requests(plain, WARM_REQUESTS, folder)
        abort_streams(slow, WARM_ABORTS)
        streams_open(mock_port)
        asked.append(_settled(started, "warm"))
        for step in range(1, 11):
            done = _requests(plain, requests // 10, folder)
            asked.append(_settled(started, f"{step}/10 of the requests ({done:,} in this step)"))
        for step in range(1, 11):
            abort_streams(slow, aborts // 10)
            left = max(left, streams_open(mock_port))
            aborted.append(_settled(started, f"{step}/10 of the aborts ({left} streams still open upstream)"))
    middle = statistics.median(reading.rss_mb for reading in asked + aborted)
    apart = max(abs(reading.rss_mb - middle) / middle for reading in asked + aborted)
    holds = apart <= ALLOWED and not left
    print(f"trend over the requests {_trend(asked):+.1%}, over the aborts {_trend(aborted):+.1%}")
    print(
        f"{'pass' if holds else 'MISS'}  memory within {ALLOWED:.0%} of {middle:.1f} MB over {requests:,} requests and {aborts:,} aborted "
        f"streams: {apart:.1%}" + (f"; {left} streams went on upstream after their clients had left" if left else "")
    )
    if output:
        found = {"median_mb": middle, "largest_distance": apart, "trend_requests": _trend(asked), "trend_aborts": _trend(aborted)}
        readings = [asdict(reading) for reading in asked + aborted]
        output.write_text(json.dumps({"machine": machine, **found, "streams_left_open": left, "readings": readings}, indent=1) + "\n")
        print(f"Written to {output}")
    return 0 if holds else 1


def _trend(readings: list[Reading]) -> float:
    first, last = (statistics.median(reading.rss_mb for reading in three) for three in (readings[:3], readings[-3:]))
    return (last - first) / first


def _settled(started: Started, when: str) -> Reading:
    time.sleep(1.0)  # a batch of records may still be on its way to disk
    status = Path(f"/proc/{started.process.pid}/status").read_text()
    anonymous = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")) * 1024 / 1e6
    reading = Reading(when, started.process.usage().rss_mb, anonymous)
    print(f"{reading.rss_mb:8.1f} MB ({anonymous:.1f} anonymous)  {when}", flush=True)
    return reading


def _requests(request: Request, count: int, folder: Path) -> int:
    done = 0
    while done < count:
        some = throughput(request, 32, 2, folder=folder).count
        if not some:
            raise LoadFailed("Penstock stopped answering.")
        done += some
    return done
