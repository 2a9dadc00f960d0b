"""``python -m benchmarks.cache --data FOLDER``: hits against false hits of the semantic cache, and of the fixed thresholds that others use.

``FOLDER`` (or the variable PENSTOCK_BENCH_DATA) holds ``intent/banking77_{train,test}.csv`` (PolyAI-LDN/task-specific-datasets, CC-BY-4.0)
and ``routellm/gsm8k_responses.csv`` (lm-sys/RouteLLM, routellm/evals/gsm8k, Apache-2.0). Thresholds are calibrated on the training part
alone; the report looks at the other part once. Everyone gets the same vectors, of the local MiniLM, and the same nearest neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.cache.account import account
from benchmarks.cache.questions import Query, Task, banking, gsm8k
from benchmarks.gateway.machine import describe
from penstock.cache.calibration import Pair, calibrate, curve, lower, upper
from penstock.cache.neighbours import score
from penstock.cache.wording import wording_of
from penstock.gateway.minilm import MiniLM, exported_path

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "cache.json"
BOUND, CONFIDENCE = 0.01, 0.95
PEERS = (
    (
        0.8,
        "GPTCache (similarity_threshold), LangChain's RedisSemanticCache (distance_threshold 0.2), LiteLLM's example",
    ),
    (0.85, "semantic-redis-cache (threshold)"),
    (0.9, "RedisVL's SemanticCache (distance_threshold 0.1)"),
    (0.95, "Portkey (documented default)"),
)
COSINES = (0.8, 0.85, 0.9, 0.95, 0.97, 0.99)
SCORES = (0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("PENSTOCK_BENCH_DATA"))
    parser.add_argument("--models", type=Path, default=ROOT / ".bench" / "models", help="Where the exported model lies or goes.")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--account", action="store_true", help="Only what the station costs; the rest of the file stays.")
    given = parser.parse_args()
    if given.account:
        report = json.loads(given.output.read_text())
        report["account_us"], report["account_machine"] = account(), describe()
        given.output.write_text(json.dumps(report, indent=1) + "\n")
        print("\n".join(f"{name:40} {micros:7.1f} us" for name, micros in report["account_us"].items()))
        return 0
    if given.data is None:
        parser.error("name the folder with --data or PENSTOCK_BENCH_DATA")
    folder = Path(given.data)
    model = MiniLM(given.models)
    model.load()
    tasks = (banking(folder / "intent"), gsm8k(folder / "routellm" / "gsm8k_responses.csv"))
    report: dict[str, Any] = {
        "machine": describe(), "embedder": exported_path(given.models).stem, "bound": BOUND, "confidence": CONFIDENCE, "tasks": {},
        "account_us": account(), "account_machine": describe(),
    }  # fmt: skip
    met = True
    for task in tasks:
        found = report["tasks"][task.name] = _measure(task, model)
        _show(task.name, found)
        ours = found["calibrated"]["score and wording"]
        met &= ours["threshold"] is None or ours["report"]["false_rate"] <= BOUND
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if met else 1


class Met(NamedTuple):
    """A query beside its nearest neighbour."""

    cosine: float
    score: float
    worded: bool
    right: bool


WAYS: dict[str, tuple[Callable[[Met], float], bool]] = {
    "score and wording": (lambda met: met.score, True),
    "score alone": (lambda met: met.score, False),
    "cosine and wording": (lambda met: met.cosine, True),
    "cosine alone": (lambda met: met.cosine, False),
}


def _measure(task: Task, model: MiniLM) -> dict[str, Any]:
    stored = model.embed(task.stored).vectors
    signs = [wording_of(text) for text in task.stored]
    calibrating = _met(task, task.calibrate, stored, signs, model)
    reporting = _met(task, task.report, stored, signs, model)
    found: dict[str, Any] = {
        "stored": len(task.stored), "calibrate": len(calibrating), "report": len(reporting),
        "kinds": dict(Counter(query.kind for query in task.report)), "calibrated": {}, "fixed": [], "curve": [],
    }  # fmt: skip
    for name, (value, wording) in WAYS.items():
        evidence = calibrate(_pairs(calibrating, value), bound=BOUND, confidence=CONFIDENCE, wording=wording)
        found["calibrated"][name] = {
            "threshold": evidence.threshold, "reason": evidence.reason, "hits": evidence.hits, "false": evidence.false,
            "upper": evidence.upper,
            "report": _at(_pairs(reporting, value), evidence.threshold, wording) if evidence.threshold is not None else None,
        }  # fmt: skip
    cosines, scores = _pairs(reporting, WAYS["cosine alone"][0]), _pairs(reporting, WAYS["score alone"][0])
    for threshold, whose in PEERS:
        found["fixed"].append({"threshold": threshold, "whose": whose, **_at(cosines, threshold, False)})
    for threshold in COSINES:
        found["curve"].append({"cosine": threshold, "alone": _at(cosines, threshold, False), "and wording": _at(cosines, threshold, True)})
    for threshold in SCORES:
        found["curve"].append({"score": threshold, "alone": _at(scores, threshold, False), "and wording": _at(scores, threshold, True)})
    return found


def _met(task: Task, queries: Sequence[Query], stored: Any, signs: list[bytes], model: MiniLM) -> list[Met]:
    cosines = model.embed([query.text for query in queries]).vectors @ stored.T
    answers = np.array(task.answers)
    found: list[Met] = []
    for query, near in zip(queries, cosines, strict=True):
        number = int(near.argmax())
        others = near[answers != answers[number]]
        cosine, other = float(near[number]), float(others.max()) if len(others) else 0.0
        found.append(Met(cosine, score(cosine, other), wording_of(query.text) == signs[number], query.right(number)))
    return found


def _pairs(met: Sequence[Met], value: Callable[[Met], float]) -> list[Pair]:
    return [(value(one), one.worded, one.right) for one in met]


def _at(pairs: Sequence[Pair], threshold: float, wording: bool) -> dict[str, Any]:
    """Hits and false hits, with exact two-sided 95 % intervals."""
    (step,) = curve(pairs, wording=wording, confidence=0.975, grid=(threshold,))
    hits, false = step.hits, step.false
    return {
        "hits": hits, "hit_rate": hits / len(pairs), "hit_low": lower(hits, len(pairs), 0.975), "hit_high": upper(hits, len(pairs), 0.975),
        "false": false, "false_rate": false / hits if hits else 0.0, "false_low": lower(false, hits, 0.975), "false_high": step.upper,
    }  # fmt: skip


def _show(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: {found['stored']} stored, {found['calibrate']} to calibrate, {found['report']} in the report")
    for one in found["fixed"]:
        print(f"  fixed {one['threshold']:.2f}: {_words(one)}")
    for how, one in found["calibrated"].items():
        print(f"  {how}: " + (f"{one['threshold']:.3f}: {_words(one['report'])}" if one["report"] else f"off: {one['reason']}"))


def _words(one: dict[str, Any]) -> str:
    return (
        f"hits {one['hit_rate']:.1%} ({one['hit_low']:.1%} to {one['hit_high']:.1%}),"
        f" of them false {one['false_rate']:.2%} ({one['false_low']:.2%} to {one['false_high']:.2%}; {one['false']} of {one['hits']})"
    )


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(status)
