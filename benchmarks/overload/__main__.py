"""``python -m benchmarks.overload``: three times what an engine can do is asked for, and what its callers notice.

An engine does ``--slots`` requests at once, ``--milliseconds`` each, and queues the rest without end (`engine.py`). Interactive callers ask
for a quarter of its capacity, batch work for the rest of three times its capacity, all in an open loop. The same load goes to Penstock,
once with ``adaptive = "pace"`` and once with what it learns switched off, and to the engine itself, which shows what becomes of it without
a gate. The bars are held against what follows the first seconds, in which the engine's limit is found; those are reported apart.
The generator runs in this process; its own delay is measured beside and reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gateway.contestants import MODEL
from benchmarks.gateway.load import Request
from benchmarks.gateway.machine import describe
from benchmarks.gateway.ours import Penstock
from benchmarks.gateway.processes import Running, free_port
from benchmarks.overload.load import Answer, Load, Stream

ROOT = Path(__file__).resolve().parents[2]
SETTLING = 5.0
"""Seconds of overload before what is measured counts."""
RESULT = ROOT / "benchmarks" / "results" / "overload.json"
BARS = (
    ("goodput_share", 0.9, "goodput at least 90 % of the peak", True),
    ("interactive_slower", 2.0, "interactive p99 at most twice what it is unloaded", False),
    ("refused_p99_ms", 5.0, "refusals within 5 ms (p99)", False),
)


def wire(port: int, path: str, key: str, priority: str) -> bytes:
    """A request of 1 KB."""
    headers = {"Authorization": f"Bearer {key}", "x-penstock-priority": priority}
    return Request(port, path, "m", 1024, headers=headers).wire()


async def measured(port: int, key: str, given: argparse.Namespace) -> dict[str, Any]:
    """Unloaded, peak and overloaded, one after the other."""
    capacity = given.slots / given.milliseconds * 1e3
    path = "/v1/chat/completions"
    interactive = Stream("interactive", capacity / 4, wire(port, path, key, "interactive"))
    batch = Stream("batch", 2.75 * capacity, wire(port, path, key, "batch"))
    load = Load(port)
    await load.closed_loop(interactive, given.slots, 1.0)
    unloaded = _p99(await load.open_loop([interactive], given.seconds))
    peak = await load.closed_loop(interactive, given.slots, given.seconds)
    length = SETTLING + 2 * given.seconds
    lag = asyncio.create_task(_lag(length))
    answers = await load.open_loop([interactive, batch], length)
    first = [a for a in answers if a.kind == "interactive" and a.due < SETTLING]
    rest = [a for a in answers if a.due >= SETTLING]
    ended = sum(a.status == 200 and SETTLING <= a.due + a.took <= length for a in answers)
    refused = sorted(1e3 * a.took for a in rest if a.status in (429, 503))
    ours = [a for a in rest if a.kind == "interactive"]
    slow = _p99(ours)
    return {
        "unloaded_p99_ms": 1e3 * unloaded,
        "peak_per_second": peak,
        "goodput_per_second": ended / (length - SETTLING),
        "goodput_share": ended / (length - SETTLING) / peak,
        "interactive_p99_ms_at_first": 1e3 * _p99(first),
        "interactive_p99_ms": 1e3 * slow,
        "interactive_slower": slow / unloaded,
        "interactive_answered": sum(a.status == 200 for a in ours) / len(ours),
        "batch_answered": sum(a.status == 200 for a in rest if a.kind == "batch") / sum(a.kind == "batch" for a in rest),
        "refused": len(refused),
        "refused_p50_ms": statistics.median(refused) if refused else None,
        "refused_p99_ms": refused[int(0.99 * len(refused))] if refused else None,
        "unanswered": sum(a.status == 0 for a in answers),
        "generator_late_p99_ms": await lag,
    }


def _p99(answers: list[Answer]) -> float:
    """Of those that were answered well; infinite when none was."""
    took = sorted(a.took for a in answers if a.status == 200)
    return took[int(0.99 * len(took))] if took else float("inf")


async def _lag(seconds: float) -> float:
    """By how many milliseconds this process wakes late, 99th percentile: the generator's own share in what it measures."""
    late, until = list[float](), time.perf_counter() + seconds
    while (now := time.perf_counter()) < until:
        await asyncio.sleep(0.01)
        late.append(1e3 * (time.perf_counter() - now - 0.01))
    return sorted(late)[int(0.99 * len(late))]


def contestants(given: argparse.Namespace, work: Path) -> dict[str, dict[str, Any]]:
    """Each alone, with an engine of its own."""
    found: dict[str, dict[str, Any]] = {}
    for name, adaptive in (("penstock", "pace"), ("penstock, adaptive off", "off"), ("the engine itself", None)):
        port = free_port()
        engine = Running(
            [sys.executable, "-m", "benchmarks.overload.engine", str(port), str(given.slots), str(given.milliseconds / 1e3)],
            log=work / "engine.log",
            cwd=ROOT,
        )
        _until(engine, "ready")
        try:
            if adaptive is None:
                found[name] = asyncio.run(measured(port, "none", given))
                continue
            house = Penstock()
            own = free_port()
            launch = house.prepare(work, work / name.replace(" ", "-") / "run", port, own)
            config = work / name.replace(" ", "-") / "run" / "penstock.toml"
            more = f'api_key = "sk-upstream"\nadaptive = "{adaptive}"\nfree = true\n'
            text = config.read_text().replace('api_key = "sk-upstream"\n', more)
            config.write_text(text.replace(f'models = ["{MODEL}"]', 'models = ["m"]'))
            process = Running(launch.command, log=work / "penstock.log", cwd=launch.cwd)
            try:
                _until(process, "console:")
                key = house.request(own, 1024, stream=False).headers["Authorization"].removeprefix("Bearer ")
                found[name] = asyncio.run(measured(own, key, given))
            finally:
                process.stop()
        finally:
            engine.stop()
        print(name, json.dumps(found[name]), flush=True)
    return found


def _until(process: Running, word: str) -> None:
    deadline = time.monotonic() + 60
    while word not in process.log.read_text(errors="replace"):
        if time.monotonic() > deadline or not process.alive:
            raise RuntimeError(f"did not start:\n{process.last_lines()}")
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--slots", type=int, default=24)
    parser.add_argument("--milliseconds", type=float, default=80.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-overload-") as folder:
        found = contestants(given, Path(folder))
    for name, figures in found.items():
        print(name)
        for figure, value in figures.items():
            print(f"  {figure:24} {value if value is None else format(value, '.4g')}")
    mine = found["penstock"]
    missed = [text for figure, bar, text, least in BARS if mine[figure] is None or (mine[figure] < bar if least else mine[figure] > bar)]
    settings = {"slots": given.slots, "milliseconds": given.milliseconds, "seconds": given.seconds}
    document = {"machine": describe(), "settings": settings, "contestants": found, "missed": missed}
    given.output.write_text(json.dumps(document, indent=1) + "\n")
    print("every bar holds" if not missed else f"missed: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
