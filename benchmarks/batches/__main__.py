"""``python -m benchmarks.batches``: a 100,000-line batch killed ten times, with interactive calls beside it; the result as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.batches.drill import drill
from benchmarks.gateway.machine import describe

RESULT = Path(__file__).parent.parent / "results" / "batches.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=6, help="turns of interactive calls without and with the batch")
    parser.add_argument("--phase-seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=30.0, help="interactive calls a second")
    parser.add_argument("--upstream-seconds", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-batches-") as folder:
        machine = describe()
        report = asyncio.run(
            drill(
                Path(folder) / "house",
                lines=given.lines,
                kills=given.kills,
                seed=given.seed,
                upstream_seconds=given.upstream_seconds,
                rounds=given.rounds,
                phase_seconds=given.phase_seconds,
                rate=given.rate,
            )
        )
    made = {"at": time.strftime("%Y-%m-%d"), "machine": machine, **msgspec.to_builtins(report)}
    text = json.dumps(made, indent=2)
    print(text)
    given.output.write_text(text + "\n", "utf-8")
    exact = report.results == report.lines and not (report.missing or report.doubled or report.wrong)
    quick = report.p99_rise is None or report.p99_rise <= 0.2
    return 0 if exact and quick and report.rss_megabytes <= 300 else 1


if __name__ == "__main__":
    raise SystemExit(main())
