"""``python -m benchmarks.workers``: what a second worker gives, beside the same for a proxy that does nothing else.

Each contestant serves the same load on the same mock upstream with one process and with two, in alternating rounds: Penstock with
everything on that the gateway's benchmark has on (``ours.py``), and the bare proxy on our own server and client (``bare.py``) as the
limit of what processes can give here. Where the machine has six cores or more, the processes under test have cores 0 and 1 to themselves,
and the load and the upstream the others; where it has fewer they compete, and throughput says more about the load than about the
workers. So the processor time of a reply is told too: with the same time for each reply, two workers that have a core each answer
twice as many.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gateway.contestants import Launch
from benchmarks.gateway.load import throughput
from benchmarks.gateway.machine import describe
from benchmarks.gateway.measure import SMALL, Started
from benchmarks.gateway.ours import ROOT, Bare, Penstock
from benchmarks.gateway.processes import Running, free_port

APART = 6
"""Cores from which on the processes under test have their own."""

CONCURRENCY = 64


def pinned(words: list[str], cores: str) -> list[str]:
    """The command on these cores, where there are enough of them."""
    apart = (os.cpu_count() or 1) >= APART and shutil.which("taskset")
    return ["taskset", "-c", cores, *words] if apart else words


class Workers(Penstock):
    """Penstock with a number of workers."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.name = f"penstock {workers}"
        self.workers = workers

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        launch = super().prepare(home, work, mock_port, port)
        return Launch(pinned([*launch.command, "--workers", str(self.workers)], f"0-{self.workers - 1}"), cwd=launch.cwd)


class Proxies(Bare):
    """The bare proxy in a number of processes."""

    def __init__(self, workers: int) -> None:
        self.name = f"bare {workers}"
        self.workers = workers

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        words = [sys.executable, "-m", "benchmarks.gateway.bare", str(port), str(mock_port), str(self.workers)]
        return Launch(pinned(words, f"0-{self.workers - 1}"), cwd=ROOT)


def main() -> int:
    chosen = _arguments()
    if (os.cpu_count() or 1) >= APART:
        os.sched_setaffinity(0, set(range(2, os.cpu_count() or 1)))
    contestants = [Workers(1), Workers(2), Proxies(1), Proxies(2)]
    figures: dict[str, dict[str, list[float]]] = {c.name: {"per_second": [], "cpu_ms": [], "p99_ms": []} for c in contestants}
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder, mock_port = Path(name), free_port()
        mock = Running([sys.executable, "-m", "benchmarks.gateway.mock", "--port", str(mock_port)], log=folder / "mock.log", cwd=ROOT)
        try:
            for turn in range(chosen.rounds):
                for contestant in contestants:
                    with Started(contestant, folder, folder / contestant.name / str(turn), mock_port) as started:
                        time.sleep(2)  # the other workers start after the first one answers
                        request = contestant.request(started.port, SMALL, stream=False)
                        throughput(request, CONCURRENCY, 1, folder=folder)
                        before = started.process.usage().cpu_seconds
                        told = throughput(request, CONCURRENCY, chosen.seconds, folder=folder)
                        used = started.process.usage().cpu_seconds - before
                    mine = figures[contestant.name]
                    mine["per_second"].append(told.per_second)
                    mine["p99_ms"].append(told.p99)
                    mine["cpu_ms"].append(used * 1000 / told.count)
                    print(f"{contestant.name}: {told.per_second:.0f} a second, {used * 1000 / told.count:.3f} CPU-ms each", flush=True)
        finally:
            mock.stop()
    best = {name: {key: statistics.median(values) for key, values in mine.items()} for name, mine in figures.items()}
    result = {
        "machine": describe(),
        "apart": (os.cpu_count() or 1) >= APART,
        "seconds": chosen.seconds,
        "rounds": chosen.rounds,
        "concurrency": CONCURRENCY,
        "figures": best,
        "ratio": {kind: best[f"{kind} 2"]["per_second"] / best[f"{kind} 1"]["per_second"] for kind in ("penstock", "bare")},
        # What two workers would give with a core each, by the processor time of a reply.
        "by_cpu": {kind: 2 * best[f"{kind} 1"]["cpu_ms"] / best[f"{kind} 2"]["cpu_ms"] for kind in ("penstock", "bare")},
    }
    print(json.dumps(result, indent=1))
    if chosen.output is not None:
        chosen.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One worker against two.")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where the figures go, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
