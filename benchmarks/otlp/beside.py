"""``python -m benchmarks.otlp.beside --phoenix PYTHON``: the same exports to Penstock and to a Phoenix server, each on one core.

``PYTHON`` (or the variable PENSTOCK_PHOENIX_PYTHON) is an interpreter that has ``arize-phoenix``, which keeps its spans in SQLite. A span
counts once it can be asked for: in Penstock when the store was told to catch up, in Phoenix when its row is in the database.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.otlp.traffic import export

SPANS = 500
SENDERS = 2
CORE = 0
LISTED = 50
ASKED = 40
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(process: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def send(netloc: str, headers: dict[str, str], bodies: list[bytes]) -> int:
    """Post all exports; how many were refused for being too many at once, and were sent again."""
    refused = [0] * SENDERS

    def some(number: int) -> None:
        connection = http.client.HTTPConnection(netloc)
        for body in bodies[number::SENDERS]:
            while True:
                connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf", **headers})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    break
                assert answer.status in {429, 503}, answer.status
                refused[number] += 1
                time.sleep(0.05)

    threads = [threading.Thread(target=some, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(refused)


def until(condition: Callable[[], bool], seconds: float, step: float = 0.1) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(step)
    return False


def waits(ask: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds that a question takes."""
    found: list[float] = []
    for _ in range(ASKED):
        begin = time.perf_counter()
        ask()
        found.append((time.perf_counter() - begin) * 1e3)
    found.sort()
    return {"p50_ms": round(found[len(found) // 2], 1), "p95_ms": round(found[int(len(found) * 0.95)], 1)}


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def penstock(bodies: list[bytes]) -> dict[str, Any]:
    """A whole Penstock, which is asked the pages' questions meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.otlp.serving", folder, str(CORE)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            begin = time.perf_counter()
            refused = send(urlsplit(told["url"]).netloc, {"authorization": f"Bearer {told['key']}"}, bodies)
            sent = time.perf_counter() - begin
            process.stdin.close()
            seen = json.loads(process.stdout.readline())
            used = seen["cpu_s"] + seen["behind_s"]
            process.wait()
        size = size_of(Path(folder) / "data" / "telemetry")
        return report(len(bodies), sent, sent + seen["behind_s"], used, seen["stored"], size, refused, seen["listed"])


@contextmanager
def phoenix_server(python: str, folder: Path) -> Iterator[tuple[int, str]]:
    """A Phoenix on loopback: its process id and where it listens."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        port, grpc = one.getsockname()[1], two.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(grpc), "PHOENIX_TELEMETRY_ENABLED": "false",
    }  # fmt: skip
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "phoenix.server.main", "serve"], env=environment, stdout=log, stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, {CORE}), start_new_session=True,
        )  # fmt: skip
        try:

            def healthy() -> bool:
                try:
                    connection = http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=5)
                    connection.request("GET", "/healthz")
                    return connection.getresponse().status == 200
                except OSError:
                    return False

            if not until(healthy, 180, 0.5):
                raise SystemExit(f"Phoenix does not answer: {(folder / 'log.txt').read_text()[-2000:]}")
            yield process.pid, f"127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def phoenix(python: str, bodies: list[bytes]) -> dict[str, Any]:
    """A Phoenix that nobody asks anything meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with phoenix_server(python, folder) as (process, netloc):
            (database,) = folder.rglob("phoenix.db")
            before = sum(path.stat().st_size for path in folder.rglob("phoenix.db*"))

            def stored() -> int:
                with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as con:
                    return int(con.execute("SELECT count(*) FROM spans").fetchone()[0])

            begin, cpu = time.perf_counter(), cpu_of(process)
            refused = send(netloc, {}, bodies)
            sent = time.perf_counter() - begin
            until(lambda: stored() >= len(bodies) * SPANS, 600, 0.2)
            seen, used = time.perf_counter() - begin, cpu_of(process) - cpu
            count = stored()

            def listed() -> None:
                connection = http.client.HTTPConnection(netloc, timeout=60)
                connection.request("GET", f"/v1/projects/default/spans?limit={LISTED}")
                answer = connection.getresponse()
                body = json.loads(answer.read())
                assert answer.status == 200, body
                assert len(body["data"]) == LISTED

            latest = waits(listed)
        size = sum(path.stat().st_size for path in folder.rglob("phoenix.db*")) - before
        return report(len(bodies), sent, seen, used, count, size, refused, latest)


def report(exports: int, sent: float, seen: float, cpu: float, stored: int, size: int, refused: int, listed: Any) -> dict[str, Any]:
    return {
        "spans": exports * SPANS, "stored": stored, "refused_exports_sent_again": refused,
        "acknowledged_per_s": round(exports * SPANS / sent), "visible_per_s": round(stored / seen),
        "cpu_us_a_span": round(cpu / max(1, stored) * 1e6, 1), "bytes_a_span": round(size / max(1, stored)), "list_of_50": listed,
    }  # fmt: skip


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phoenix", default=os.environ.get("PENSTOCK_PHOENIX_PYTHON", ""))
    parser.add_argument("--exports", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results" / "otlp-beside.json")
    given = parser.parse_args()
    bodies = [export(seed) for seed in range(1000, 1000 + given.exports)]
    found: dict[str, Any] = {"penstock": penstock(bodies)}
    if given.phoenix:
        code = "from importlib.metadata import version; print(version('arize-phoenix'))"
        version = subprocess.run([given.phoenix, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        found["phoenix"] = {"version": version, **phoenix(given.phoenix, bodies)}
    result = {
        "date": time.strftime("%Y-%m-%d"), "machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}, "spans_per_export": SPANS,
        "bytes_sent_a_span": round(len(bodies[0]) / SPANS), **found,
    }  # fmt: skip
    given.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
