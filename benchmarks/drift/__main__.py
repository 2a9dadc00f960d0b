"""``python -m benchmarks.drift DATA``: how soon is a change of a task's calls noticed, and how often where there is none?

Ours beside ADWIN (river) and a windowed Kolmogorov-Smirnov test, on the same scores. The peers' thresholds are tuned on one half of the
data to one false alarm in 10,000 calls; ours is the limit that promises so much. All figures are of the other half. Wants `river` and the
extra `local`. Writes ``benchmarks/results/drift.json``; about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from benchmarks.drift.methods import WINDOWS, Alarms, adwin, ours, scores, windowed
from benchmarks.drift.streams import REFERENCE, Change, changes, stream
from benchmarks.gateway.machine import describe
from penstock.gateway.minilm import MiniLM

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "drift.json"
WANTED = 10_000.0
CALM, BEFORE, AFTER = 2000, (100, 600), 1000
"""Calls of a stream without a change; between which places a change comes; calls behind it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--models", type=Path, default=ROOT / ".bench" / "models")
    parser.add_argument("--calm", type=int, default=30, help="Streams without a change, of each kind and half.")
    parser.add_argument("--changed", type=int, default=60, help="Streams with a change, of each kind.")
    given = parser.parse_args()
    began = time.monotonic()
    kinds = changes(given.data)
    vectors = embedded(kinds, given.models)
    tuned = tune([calm(kind, 0, seed, vectors) for kind in kinds for seed in range(given.calm)])
    quiet = [calm(kind, 1, seed, vectors) for kind in kinds for seed in range(given.calm)]
    found: dict[str, Any] = {
        "machine": describe(),
        "versions": {"river": version("river")},
        "reference": REFERENCE,
        "wanted_calls_per_false_alarm": WANTED,
        "thresholds": {name: str(threshold) for name, threshold in tuned.items()},
        "false_alarms": {name: false_alarms([one[name][tuned[name]] for one in quiet]) for name in tuned},
        "delays": {},
        "changes": {kind.name: kind.what for kind in kinds},
    }
    for kind in kinds:
        rows: dict[str, list[int | None]] = defaultdict(list)
        for seed in range(given.changed):
            at = BEFORE[0] + seed * (BEFORE[1] - BEFORE[0]) // given.changed
            alarms = detect(stream(kind, 1, 10_000 + seed, at + AFTER, at), seed, vectors)
            for name, threshold in tuned.items():
                alarm = alarms[name][threshold]
                if alarm is None or alarm >= at:  # earlier ones are false, and counted above
                    rows[name].append(None if alarm is None else alarm - at)
        found["delays"][kind.name] = {name: delays(values) for name, values in rows.items()}
        print(kind.name, {name: (one["median"], one["p90"], one["found"]) for name, one in found["delays"][kind.name].items()}, flush=True)
    found["seconds"] = round(time.monotonic() - began)
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    return 0


def embedded(kinds: list[Change], folder: Path) -> Mapping[str, Any]:
    """MiniLM's vectors of the questions of some thousand calls; others have no topic."""
    texts = dict.fromkeys(
        one.prompt
        for kind in kinds
        if kind.name in ("class prior", "vocabulary")
        for side in (0, 1)
        for seed in range(3)
        for one in stream(kind, side, seed, 800, 300)
    )
    texts = [text for text in texts if text]
    made = MiniLM(folder).embed(texts).vectors
    return {text: vector / np.linalg.norm(vector) for text, vector in zip(texts, made.astype(np.float64), strict=True)}


def detect(calls: list[Any], seed: int, vectors: Mapping[str, Any]) -> dict[str, Alarms]:
    features = scores(calls, vectors)
    found = {"penstock": ours(features, seed), "adwin": adwin(features)}
    return found | {f"ks-{window}": windowed(features, window) for window in WINDOWS}


def calm(kind: Change, side: int, seed: int, vectors: Mapping[str, Any]) -> dict[str, Alarms]:
    """All alarms in a stream that does not change."""
    return detect(stream(kind, side, seed, CALM, None), seed, vectors)


def tune(streams: list[dict[str, Alarms]]) -> dict[str, float]:
    """The threshold of each peer with the most alarms that are not too many; ours is not tuned."""
    found: dict[str, float] = {"penstock": WANTED}
    for name in streams[0]:
        if name == "penstock":
            continue
        thresholds = sorted(streams[0][name], reverse=True)  # the loosest first
        rates = {one: false_alarms([stream[name][one] for stream in streams])["per_10000"] for one in thresholds}
        found[name] = next((one for one in thresholds if rates[one] <= 10_000 / WANTED), thresholds[-1])
    return found


def false_alarms(alarms: list[int | None]) -> dict[str, float]:
    """Alarms in 10,000 calls that were watched up to the first one of their stream, with an exact 95 % interval (Garwood 1936)."""
    count = sum(one is not None for one in alarms)
    calls = sum(CALM if one is None else one + 1 for one in alarms)
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(0.975, 2 * count + 2) / 2
    unit = 10_000 / calls
    return {
        "alarms": count,
        "calls": calls,
        "per_10000": round(count * unit, 3),
        "low": round(low * unit, 3),
        "high": round(high * unit, 3),
    }


def delays(values: list[int | None]) -> dict[str, Any]:
    """Median and 90 % of the delays in calls (None: beyond the end of the stream), bootstrapped 95 % intervals, and the share found."""
    rng = np.random.default_rng(0)
    held = np.array([np.inf if one is None else one for one in values], dtype=float)

    def shown(value: float) -> int | None:
        return None if not np.isfinite(value) else int(value)

    made: dict[str, Any] = {"streams": len(values), "found": round(float(np.isfinite(held).mean()), 3)}
    for name, share in (("median", 0.5), ("p90", 0.9)):
        drawn = [np.quantile(rng.choice(held, len(held)), share, method="higher") for _ in range(1000)]
        low, high = np.quantile(drawn, [0.025, 0.975], method="higher")
        made[name] = shown(float(np.quantile(held, share, method="higher")))
        made[f"{name}_between"] = [shown(float(low)), shown(float(high))]
    return made


def table(found: dict[str, Any]) -> str:
    """For the documentation."""
    names = list(found["false_alarms"])
    lines = ["| change | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for kind, rows in found["delays"].items():
        lines.append(f"| {kind} | " + " | ".join(_delay(rows[name]) for name in names) + " |")
    alarms = [found["false_alarms"][name] for name in names]
    lines.append(
        "| false alarms in 10,000 calls | " + " | ".join(f"{one['per_10000']} ({one['low']} to {one['high']})" for one in alarms) + " |"
    )
    return "\n".join(lines)


def _delay(one: dict[str, Any]) -> str:
    def word(value: int | None) -> str:
        return f"> {AFTER}" if value is None else str(value)

    low, high = one["median_between"]
    return f"{word(one['median'])} ({word(low)} to {word(high)}), {word(one['p90'])}"


if __name__ == "__main__":
    raise SystemExit(main())
