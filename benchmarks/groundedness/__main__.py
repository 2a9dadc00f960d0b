"""``python -m benchmarks.groundedness DATA``: how well the groundedness detector tells on sets it learnt from and on others, and how fast.

Writes ``benchmarks/results/groundedness.json`` and prints its tables. ``DATA`` is the folder with the sets (docs/groundedness.md says where
they are from). Needs the extra ``local``. The model under test is made anew from the training parts and must equal the one that is shipped.
Some minutes; the embeddings of 15,000 texts are kept in ``.bench`` for the next time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gateway.machine import describe
from benchmarks.groundedness import few, figures, speed
from benchmarks.groundedness.data import TRAIN, Floats, Row, Set, Vectors, load
from benchmarks.groundedness.learn import Seen, cross_validate, fit, score, see, see_all
from benchmarks.groundedness.measures import auroc, between, threshold_accuracy
from benchmarks.groundedness.train import make
from penstock.quality.grounded import features
from penstock.quality.grounded.calibrate import best_threshold
from penstock.quality.grounded.detector import WordDetector
from penstock.quality.grounded.model import shipped

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "groundedness.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groundedness", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--speed", action="store_true", help="Measure the speed and keep the file's other figures.")
    given = parser.parse_args()
    found: dict[str, Any]
    if given.speed:
        found = json.loads(given.output.read_text())
        found |= {"machine": describe(), "speed": speed.measure(load(given.data)["factcheck"].train)}
        given.output.write_text(json.dumps(found, indent=1) + "\n")
        print(figures.bars(found))
        return 0
    sets, vectors = load(given.data), Vectors()
    train = {name: sets[name].train for name in TRAIN}
    if make(train, vectors).id != shipped().id:
        print("The shipped model is not the one that these data and this code make: run python -m benchmarks.groundedness.train")
        return 2
    seen, (stems, tells, rare) = see_all(train, vectors)
    weights = dict(zip(stems, tells, strict=True))
    heads = fit(seen)
    out_of_fold = cross_validate(seen)
    tests = {name: see(sets[name].test, weights, rare, vectors) for name in ("wow", "wice")}
    found = {
        "machine": describe(),
        "model": shipped().id,
        "sizes": {name: [len(one.train), len(one.test)] for name, one in sets.items()},
        "test": {name: _test(seen[name], out_of_fold[name], one, score(heads, one.x)) for name, one in tests.items()},
        "cross_validated": {
            name: {how: between(auroc, one.y, values, one.groups) for how, values in _all(one, out_of_fold[name]).items()}
            for name, one in seen.items()
        },
        "support": _support(sets["wice"]),
    }
    found["left_out"], found["few_labels"] = _left_out(sets, vectors)
    found["speed"] = speed.measure(sets["factcheck"].train)
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print("\n\n".join(make_table(found) for make_table in figures.TABLES.values()))
    return 0


def _all(seen: Seen, scores: Mapping[str, Floats]) -> dict[str, Floats]:
    """Everybody's scores: ours, and those of two plain baselines in the same run."""
    rouge_l = 1 - seen.x[:, features.NAMES.index("in_order")]
    return {**scores, "coverage": seen.lacks, "rouge_l": rouge_l}


def _test(train: Seen, out_of_fold: Mapping[str, Floats], test: Seen, scores: Mapping[str, Floats]) -> dict[str, Any]:
    """AUROC and balanced accuracy of everyone on a test part; thresholds are picked on the training part, ours on scores out of fold."""
    found: dict[str, Any] = {}
    known = _all(train, out_of_fold)
    for name, values in _all(test, scores).items():
        line = best_threshold(sorted(known[name][train.y == 0].tolist()), sorted(known[name][train.y == 1].tolist()))
        assert line is not None
        accuracy = threshold_accuracy(line)
        found[name] = {
            "auroc": between(auroc, test.y, values, test.groups),
            "balanced": between(accuracy, test.y, values, test.groups),
            "threshold": line,
        }
    return found


def _left_out(sets: Mapping[str, Set], vectors: Vectors) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each set judged by a model that saw no word of it; and what a few of its labels then add."""
    found: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    for name, one in sets.items():
        others: dict[str, Sequence[Row]] = {other: sets[other].train for other in TRAIN if other != name}
        seen, (stems, tells, rare) = see_all(others, vectors)
        heads = fit(seen)
        # Wizard of Wikipedia: its test part, which nobody looked at when figures were chosen. The others: all there is.
        unseen = see(one.test if name == "wow" else [*one.train, *one.test], dict(zip(stems, tells, strict=True)), rare, vectors)
        scores = score(heads, unseen.x)
        found[name] = {how: between(auroc, unseen.y, values, unseen.groups) for how, values in _all(unseen, scores).items()}
        found[name]["balanced_at_half"] = between(threshold_accuracy(0.5), unseen.y, scores["lexical"], unseen.groups)
        found[name]["rows"] = len(unseen.y)
        if name != "halueval":
            labels[name] = few.run(scores["lexical"], unseen.y)
    return found, labels


def _support(wice: Set) -> dict[str, Any]:
    """How often the sentence that a span names as its support is one that people marked, on WiCE's test part; and by chance."""
    detector = WordDetector()
    hits: list[float] = []
    chance: list[float] = []
    for row in wice.test:
        marked = {sentence for one in row.support for sentence in one}
        if not marked:
            continue
        named = {
            span.support.text
            for span in detector.judge_now(row.evidence, row.reply).spans
            if span.kind == "sentence" and span.support is not None
        }
        hits.append(len(named & marked) / len(named) if named else 0.0)
        chance.append(len(marked) / len(row.evidence))
    draws = np.random.default_rng(0).choice(np.array(hits), (1000, len(hits))).mean(axis=1)
    return {
        "claims": len(hits),
        "named": [float(np.mean(hits)), float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))],
        "chance": float(np.mean(chance)),
    }


if __name__ == "__main__":
    sys.exit(main())
