"""``python -m benchmarks.alerts --data FOLDER``: spikes and shifts with known times, found by our detector and by others.

Needs numpy and river beside Penstock; ``FOLDER`` has ``traces/azure_conv.csv``. Every contestant's own settings are chosen on one half of
the series (the best F1), and told of the other half.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.alerts.contestants import CONTESTANTS, OURS
from benchmarks.alerts.score import Score
from benchmarks.alerts.series import made, recorded
from penstock.alerts.detect import SENSITIVITIES

KINDS = ("latency", "errors", "spend", "refusals")


def main() -> None:
    """Score everybody and write what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--series", type=int, default=6, help="of each kind in each half")
    parser.add_argument("--only", default="", help="contestants whose name begins so")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    tokens = recorded(given.data)
    halves = [[made(kind, half * 100 + n, tokens) for kind in KINDS for n in range(given.series)] for half in (1, 2)]
    told = {}
    for name, contestant in CONTESTANTS.items():
        if not name.startswith(given.only):
            continue
        scores: list[dict[str, Score]] = [{}, {}]
        by_kind: dict[str, dict[str, Score]] = {}
        for half, found in enumerate(halves):
            for series in found:
                for setting, on in contestant(series):
                    scores[half].setdefault(setting, Score()).add(series, on)
                    if half == 1:
                        by_kind.setdefault(setting, {}).setdefault(series.name.partition("-")[0], Score()).add(series, on)
        ordered = sorted(scores[0], key=lambda one: -scores[0][one].f1)
        best = ordered[0]
        kinds = {kind: round(score.f1, 3) for kind, score in by_kind[best].items()}
        told[name] = {"setting": best, "tuned_f1": scores[0][best].f1, **scores[1][best].told(), "f1_of": kinds}
        if name == OURS:
            as_set = {word: f"spike {bounds.spike}, shift {bounds.shift}" for word, bounds in SENSITIVITIES.items()}
            told[name]["sensitivities"] = {word: scores[1][setting].told() for word, setting in as_set.items()}
        print(name, json.dumps(told[name], indent=1), flush=True)
        if given.only:
            for one in ordered[:12]:
                print(
                    one,
                    round(scores[0][one].f1, 3),
                    {k: v for k, v in scores[0][one].told().items() if k in ("recall", "precision", "false_a_week")},
                )
    if given.out is not None:
        machine = {"python": platform.python_version(), "river": version("river"), "series": given.series * len(KINDS)}
        given.out.write_text(json.dumps({"machine": machine, "contestants": told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
