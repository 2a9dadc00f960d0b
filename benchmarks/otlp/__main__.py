"""``python -m benchmarks.otlp [--seconds 10] [--output FILE]``: what a span costs to read, and how many come in over HTTP on one core."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.otlp.reading import measure
from benchmarks.otlp.traffic import export

SPANS = 500
SENDERS = 2
BAR = 20_000


def over_http(bodies: list[bytes], seconds: float) -> dict[str, Any]:
    """Two senders, one export at a time each, against a Penstock that has core 0 to itself as far as the machine allows."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.otlp.serving", folder, "0"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            told = json.loads(process.stdout.readline())
            sent = [0] * SENDERS
            waits: list[float] = []
            end = time.monotonic() + seconds

            def send(number: int) -> None:
                connection = http.client.HTTPConnection(urlsplit(told["url"]).netloc)
                headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {told['key']}"}
                for body in bodies[number::SENDERS]:
                    if time.monotonic() > end:
                        break
                    begin = time.perf_counter()
                    connection.request("POST", "/v1/traces", body, headers)
                    answer = connection.getresponse()
                    text = answer.read()
                    assert answer.status == 200, (answer.status, text)
                    assert not text, text
                    waits.append((time.perf_counter() - begin) * 1e3)
                    sent[number] += SPANS

            begin = time.perf_counter()
            threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took = time.perf_counter() - begin
            process.stdin.write("\n")
            process.stdin.close()
            seen = json.loads(process.stdout.readline())
    waits.sort()
    return {
        "spans": sum(sent), "seconds": took, "spans_per_second": sum(sent) / (took + seen["behind_s"]),
        "cpu_us_per_span": seen["cpu_s"] / sum(sent) * 1e6,
        "export_p50_ms": waits[len(waits) // 2], "export_p95_ms": waits[int(len(waits) * 0.95)],
        **seen,
    }  # fmt: skip


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results" / "otlp.json")
    options = parser.parse_args()
    os.sched_setaffinity(0, {os.cpu_count() or 1, 1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    bodies = [export(seed) for seed in range(20)]
    reading = measure(bodies, SPANS, options.rounds)
    print(f"{len(bodies[0]) / SPANS:.0f} bytes a span, {SPANS} spans an export\n")
    for name, cost in reading.items():
        print(f"{name:32} {cost:7.1f} us of CPU a span {1e6 / cost:10,.0f} spans/s")
    bodies = [export(seed) for seed in range(100, 100 + int(options.seconds * 80))]
    found = over_http(bodies, options.seconds)
    print(f"\nover HTTP on one core, with questions asked: {found['spans_per_second']:,.0f} spans/s (the bar is {BAR:,})")
    for name, figure in found.items():
        print(f"  {name:20} {figure:12,.1f}" if isinstance(figure, int | float) else f"  {name:20} {figure}")
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        "spans_per_export": SPANS, "bytes_per_span": len(bodies[0]) / SPANS, "cpu_us_per_span": reading, "http": found,
        "bar": {"spans_per_second": BAR, "holds": found["spans_per_second"] >= BAR},
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
