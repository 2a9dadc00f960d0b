"""The sets with people's labels, as texts and as figures. Where they are from and their licences: docs/groundedness.md.

A reply counts as ungrounded unless its label says that the context carries all of it: BEGIN's "Not fully attributable" and the few
"Generic"; FactCheckGPT's irrelevant, refuting and partial evidence; WiCE's partly and not supported.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.gateway.minilm import MiniLM
from penstock.quality.grounded.features import Context, measure, split
from penstock.quality.grounded.meaning import compared
from penstock.quality.grounded.words import sentences, words

Floats = NDArray[np.float64]
CACHE = Path(__file__).resolve().parents[2] / ".bench" / "groundedness"
LISTED = 1500
"""Stems whose commonness the model carries."""

TRAIN = ("wow", "cmu", "factcheck", "wice")


class Row(NamedTuple):
    context: str
    reply: str
    ungrounded: bool
    group: str
    """Rows of a group stand on one side of every split."""
    support: tuple[tuple[int, ...], ...] = ()
    """WiCE: each of the sets of context sentences that carry the claim."""
    evidence: tuple[str, ...] = ()


class Set(NamedTuple):
    train: list[Row]
    test: list[Row]
    """Empty where a set has no part of its own for testing."""


def load(folder: Path) -> dict[str, Set]:
    """Every set by its short name; HaluEval's context is the user's request, since it has no other."""
    return {
        "wow": Set(_begin(folder / "begin_dev_wow.tsv"), _begin(folder / "begin_test_wow.tsv")),
        "cmu": Set(_begin(folder / "begin_dev_cmu.tsv"), []),
        "factcheck": Set(_factcheck(folder / "factcheckgpt_claim_evidence.jsonl"), []),
        "wice": Set(_wice(folder / "wice_claim_dev.jsonl"), _wice(folder / "wice_claim_test.jsonl")),
        "halueval": Set([], _halueval(folder / "halueval_general.jsonl")),
    }


def _begin(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        found = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Row(x["knowledge"], x["response"], x["begin_label"] != "Fully attributable", x["knowledge"]) for x in found]


def _factcheck(path: Path) -> list[Row]:
    return [Row(x["evidence"], x["claim"], x["stance"] != "completely-support", x["claim"]) for x in _lines(path)]


def _wice(path: Path) -> list[Row]:
    return [
        Row(
            "\n".join(x["evidence"]), x["claim"], x["label"] != "supported", x["claim"],
            tuple(tuple(one) for one in x["supporting_sentences"]), tuple(x["evidence"]),
        )
        for x in _lines(path)
    ]  # fmt: skip


def _halueval(path: Path) -> list[Row]:
    return [Row(x["user_query"], x["chatgpt_response"], x["hallucination"] == "yes", x["ID"]) for x in _lines(path)]


def _lines(path: Path) -> Iterable[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def commonness(rows: Iterable[Row]) -> tuple[list[str], list[float], float]:
    """The commonest stems, how much each tells (inverse document frequency over sentences), and how much any other does. No labels."""
    counts: Counter[str] = Counter()
    sentences_seen = 0
    for text in dict.fromkeys(text for row in rows for text in (row.context, row.reply)):
        for start, end in sentences(text):
            sentences_seen += 1
            counts.update({stem for stem, _ in words(text, start, end)})
    listed = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:LISTED]
    tells = [round(math.log((sentences_seen + 1) / (count + 1)), 2) for _, count in listed]
    return [stem for stem, _ in listed], tells, round(tells[-1] + 1, 2)


def figures(rows: Sequence[Row], weights: dict[str, float], rare: float) -> tuple[Floats, Floats, list[list[tuple[str, str]]]]:
    """What the lexical head sees of each row, the share of content words that the context lacks, and what the embedding model is asked."""
    found: list[list[float]] = []
    lacks: list[float] = []
    pairs: list[list[tuple[str, str]]] = []
    for row in rows:
        held = Context([row.context], weights, rare)
        parts = split(row.reply, held)
        found.append(measure(parts, row.reply.count("?"), held))
        content = sum(len(part.content) for part in parts)
        lacks.append(sum(len(part.missing) for part in parts) / content if content else 0.5)
        pairs.append(compared(parts, held, row.reply) if parts and held.sentences else [])
    return np.array(found), np.array(lacks), pairs


class Vectors:
    """MiniLM's vectors of texts, kept in ``.bench`` between runs, since there are thousands."""

    def __init__(self) -> None:
        self._model = MiniLM(CACHE.parent / "models")
        self._path = CACHE / "vectors.npz"
        self._kept: dict[str, Floats] = {}
        if self._path.exists():
            with np.load(self._path) as kept:
                self._kept = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def cosines(self, pairs: Sequence[Sequence[tuple[str, str]]]) -> Floats:
        """`penstock.quality.grounded.meaning.NAMES` of each row."""
        new = list(dict.fromkeys(t for row in pairs for pair in row for t in pair if _key(t) not in self._kept))
        for text, vector in zip(new, self._model.embed(new).vectors, strict=True):
            self._kept[_key(text)] = vector.astype(np.float16)
        if new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self._path, keys=np.array(list(self._kept)), vectors=np.array(list(self._kept.values())))
        rows = [[float(self._at(a) @ self._at(b)) for a, b in row] or [0.0] for row in pairs]
        return np.array([[min(row), sum(row) / len(row)] for row in rows])

    def _at(self, text: str) -> Floats:
        return self._kept[_key(text)].astype(np.float64)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
