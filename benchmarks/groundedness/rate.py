"""``python -m benchmarks.groundedness.rate DATA``: does the interval of the ungrounded rate cover what people say of all replies?

Of each set that people labelled whole, a few replies are drawn, of which the labels are told; the detector of words judges all. The
prediction-powered interval of both is held against the rate by all labels, and beside it the classical one (Wilson's) of the few labels
alone, and the detector's own rate. The detector learnt from other sets; limits are its own, of one half. The replies are drawn
without replacement, so a true coverage of 95 % shows as a little more. Writes ``benchmarks/results/groundedness-rate.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gateway.machine import describe
from benchmarks.groundedness.data import load
from penstock.quality.grounded.detector import WordDetector
from penstock.statistics.bounds import clopper_pearson, wilson
from penstock.statistics.prediction_powered import estimate, sums

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "groundedness-rate.json"
SIZES = (20, 50, 100, 200)
DRAWS = 1000
MOST = 1500
"""Replies of a set, so that all of them are judged in a minute."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groundedness.rate", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    sets = load(given.data)
    # WoW's and WiCE's test parts, and HaluEval, from which the detector has learnt nothing.
    rows = {name: sets[name].test for name in ("wow", "wice", "halueval")}
    found: dict[str, Any] = {"machine": describe(), "draws": DRAWS, "sets": {}}
    for name, replies in rows.items():
        detector = WordDetector()
        chosen = [replies[at] for at in np.random.default_rng(0).permutation(len(replies))[:MOST]]
        verdicts = [detector.judge_now((row.context,), row.reply).verdict for row in chosen]
        held = [
            (float(row.ungrounded), float(said == "ungrounded")) for row, said in zip(chosen, verdicts, strict=True) if said != "not_judged"
        ]
        found["sets"][name] = of_set(np.array(held))
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    return 0


def of_set(rows: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """Coverage and mean width at each number of labels; ``rows`` are a person's word and the detector's."""
    truth, told = float(rows[:, 0].mean()), float(rows[:, 1].mean())
    low, high = wilson(float(rows[:, 1].sum()), len(rows), 0.95)
    rng = np.random.default_rng(1)
    sizes: dict[str, Any] = {}
    for size in SIZES:
        covered, alone, widths, others = 0, 0, [], []
        for _ in range(DRAWS):
            order = rng.permutation(len(rows))
            few, rest = rows[order[:size]], rows[order[size:]]
            made = estimate(sums((1.0, 0.0, float(f)) for _, f in rest), sums((1.0, float(y), float(f)) for y, f in few))
            assert made is not None
            classical = wilson(float(few[:, 0].sum()), size, 0.95)
            covered += made.low <= truth <= made.high
            alone += classical[0] <= truth <= classical[1]
            widths.append(made.high - made.low)
            others.append(classical[1] - classical[0])
        sizes[str(size)] = {
            "coverage": covered / DRAWS,
            "coverage_between": list(clopper_pearson(covered, DRAWS, 0.95)),
            "width": float(np.mean(widths)),
            "classical_coverage": alone / DRAWS,
            "classical_width": float(np.mean(others)),
        }
    return {
        "replies": len(rows),
        "rate": truth,
        "judge": told,
        "judge_interval": [low, high],
        "judge_covers": low <= truth <= high,
        "agreement": float((rows[:, 0] == rows[:, 1]).mean()),
        "labels": sizes,
    }


def table(found: dict[str, Any]) -> str:
    """For the documentation."""
    lines = [
        "| set | people's rate | detector's | labels | coverage (95 % interval) | width | labels alone: coverage | width |",
        "| --- " * 8 + "|",
    ]
    for name, one in found["sets"].items():
        for size, row in one["labels"].items():
            low, high = row["coverage_between"]
            lines.append(
                f"| {name} | {one['rate']:.3f} | {one['judge']:.3f} | {size} | {row['coverage']:.3f} ({low:.3f} to {high:.3f}) |"
                f" {row['width']:.3f} | {row['classical_coverage']:.3f} | {row['classical_width']:.3f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
