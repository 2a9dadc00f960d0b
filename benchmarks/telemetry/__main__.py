"""``python -m benchmarks.telemetry --data FOLDER``: the same spans into each engine, with pages asking meanwhile.

Needs duckdb, chdb, pylance and pyarrow beside Penstock; an engine that is not installed is in the report as such. ``FOLDER`` has
``traces/azure_conv.csv`` and ``groundedness/*.jsonl``. Each engine runs in a process of its own, which says how much memory it took.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.telemetry.candidates.candidate import QUESTIONS, Candidate, Question
from benchmarks.telemetry.spans import write

ENGINES = {"duckdb": "duckdb", "duckdb-parquet": "duckdb", "chdb": "chdb", "sqlite": "", "lance": "pylance"}
BEGIN = 1_789_000_000 * 10**9
KILLED_AFTER = 40


def engine(name: str) -> Candidate:
    """The contestant of this name; its library is imported here only."""
    if name.startswith("duckdb"):
        from benchmarks.telemetry.candidates.duck import Duck, DuckParquet

        return Duck() if name == "duckdb" else DuckParquet()
    if name == "chdb":
        from benchmarks.telemetry.candidates.chdb import Chdb

        return Chdb()
    if name == "sqlite":
        from benchmarks.telemetry.candidates.sqlite import Sqlite

        return Sqlite()
    from benchmarks.telemetry.candidates.lance import Lance

    return Lance()


def rss(peak: bool = False) -> float:
    """Megabytes of this process."""
    field = "VmHWM:" if peak else "VmRSS:"
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)) / 1024


def ask_all(candidate: Candidate, reader: Any, q: Question, times: int) -> dict[str, dict[str, float]]:
    """Median and p95 of each question, milliseconds."""
    found: dict[str, dict[str, float]] = {}
    for name in QUESTIONS:
        took: list[float] = []
        rows = 0
        for turn in range(times):
            began = time.perf_counter()
            rows = max(rows, candidate.ask(reader, name, q, turn))
            took.append((time.perf_counter() - began) * 1e3)
        took.sort()
        found[name] = {"p50": round(statistics.median(took), 1), "p95": round(took[int(len(took) * 0.95)], 1), "rows": rows}
    return found


def contest(name: str, source: Path, folder: Path, times: int) -> dict[str, Any]:
    """One engine, all of it, in this process."""
    files = sorted(source.glob("*.jsonl"))
    q = Question(json.loads((source / "values.json").read_text()))
    candidate = engine(name)
    candidate.open(folder)
    over = threading.Event()
    waits: list[float] = []

    def pages() -> None:
        reader, turn = candidate.reader(), 0
        while not over.is_set():
            began = time.perf_counter()
            candidate.ask(reader, QUESTIONS[turn % len(QUESTIONS)], q, turn)
            waits.append((time.perf_counter() - began) * 1e3)
            turn += 1
            over.wait(0.05)

    thread = threading.Thread(target=pages)
    batches: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    thread.start()
    try:
        for file in files:
            at = time.perf_counter()
            candidate.ingest(file)
            batches.append((time.perf_counter() - at) * 1e3)
    finally:
        over.set()
        thread.join()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    candidate.ready()
    settled = time.perf_counter() - began
    spans = candidate.count()
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    second = subprocess.run(
        [sys.executable, "-m", "benchmarks.telemetry", "--second", name, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    batches.sort()
    waits.sort()
    result = {
        "spans": spans, "spans_per_s": round(spans / took), "cpu_us_a_span": round(used / spans * 1e6, 1),
        "batch_p50_ms": round(statistics.median(batches), 1), "batch_p99_ms": round(batches[int(len(batches) * 0.99)], 1),
        "asked_meanwhile": len(waits), "asked_meanwhile_p95_ms": round(waits[int(len(waits) * 0.95)], 1) if waits else None,
        "settle_s": round(settled, 1), "bytes_a_span": round(size / spans), "peak_mb": round(rss(peak=True)), "after_mb": round(rss()),
        "questions": ask_all(candidate, candidate.reader(), q, times), "second_process": (second.stdout + second.stderr).strip().replace(str(folder), "FOLDER")[:160],
    }  # fmt: skip
    candidate.close()
    return result


def killed(name: str, source: Path, folder: Path) -> dict[str, Any]:
    """A process that ingests is killed; what it had acknowledged must be there, and nothing twice."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.telemetry", "--feed", name, str(source), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    acknowledged = 0
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= KILLED_AFTER:
            child.send_signal(signal.SIGKILL)
            break
    acknowledged = max([acknowledged, *(int(line) for line in child.stdout)])
    child.wait()
    each = len(next(iter(sorted(source.glob("*.jsonl")))).read_bytes().splitlines())
    began = time.perf_counter()
    opened = subprocess.run(
        [sys.executable, "-m", "benchmarks.telemetry", "--second", name, str(folder)], capture_output=True, text=True, check=False
    )
    found = opened.stdout.strip().split()
    if opened.returncode or len(found) != 2:
        return {"fault": (opened.stdout + opened.stderr)[-200:], "open_s": round(time.perf_counter() - began, 2)}
    return {"acknowledged": acknowledged * each, "found": int(found[0]), "open_s": float(found[1])}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--payloads", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default=",".join(ENGINES))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/telemetry.json"))
    parser.add_argument("--one", nargs=3)
    parser.add_argument("--second", nargs=2)
    parser.add_argument("--feed", nargs=3)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(contest(given.one[0], Path(given.one[1]), Path(given.one[2]), given.times)))
        return
    if given.second:
        candidate = engine(given.second[0])
        began = time.perf_counter()
        try:
            candidate.open(Path(given.second[1]))
            print(candidate.count(), round(time.perf_counter() - began, 3))
        except Exception as fault:  # whatever an engine says to a second process is the finding
            print(f"{type(fault).__name__}: {' '.join(str(fault).split())[:140]}")
        sys.stdout.flush()
        os._exit(0)
    if given.feed:
        candidate = engine(given.feed[0])
        candidate.open(Path(given.feed[2]))
        for number, file in enumerate(sorted(Path(given.feed[1]).glob("*.jsonl")), 1):
            candidate.ingest(file)
            print(number, flush=True)
        return
    report: dict[str, Any] = json.loads(given.output.read_text()) if given.output.exists() else {"engines": {}}
    report["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    report["shape"] = {"spans": given.spans, "payloads": given.payloads, "batch": given.batch, "days": 30}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        write(source, given.spans, given.payloads, given.data, BEGIN, 30, given.batch)
        for name in given.only.split(","):
            print(name, "...", file=sys.stderr)
            folder, other = Path(scratch) / name, Path(scratch) / f"{name}-killed"
            folder.mkdir()
            other.mkdir()
            run = subprocess.run(
                [sys.executable, "-m", "benchmarks.telemetry", "--one", name, str(source), str(folder), "--times", str(given.times)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if run.returncode:
                report["engines"][name] = {"fault": run.stderr.strip()[-300:]}
                continue
            found = json.loads(run.stdout.strip().splitlines()[-1])
            found["killed"] = killed(name, source, other)
            found["version"] = version(ENGINES[name]) if ENGINES[name] else __import__("sqlite3").sqlite_version
            report["engines"][name] = found
            subprocess.run(["rm", "-rf", str(folder), str(other)], check=False)
            given.output.write_text(json.dumps(report, indent=1) + "\n")
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


def table(report: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| | " + " | ".join(report["engines"]) + " |", "| --- |" + " ---: |" * len(report["engines"])]
    rows = [
        "spans_per_s",
        "cpu_us_a_span",
        "batch_p50_ms",
        "batch_p99_ms",
        "asked_meanwhile_p95_ms",
        "settle_s",
        "bytes_a_span",
        "peak_mb",
        "after_mb",
    ]
    for row in rows:
        lines.append(f"| {row} | " + " | ".join(str(e.get(row, "-")) for e in report["engines"].values()) + " |")
    for name in QUESTIONS:
        lines.append(
            f"| {name}, p95 ms | "
            + " | ".join(str(e.get("questions", {}).get(name, {}).get("p95", "-")) for e in report["engines"].values())
            + " |"
        )
    lines.append("| killed | " + " | ".join(json.dumps(e.get("killed", e.get("fault"))) for e in report["engines"].values()) + " |")
    lines.append("| second process | " + " | ".join(str(e.get("second_process", "-")) for e in report["engines"].values()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
