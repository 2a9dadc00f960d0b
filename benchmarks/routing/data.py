"""The recorded outcomes: RouteLLM's GSM8K and MMLU (GPT-4-1106 and Mixtral-8x7B) and LLMRouter's nine models, with features and embeddings.

A prompt that occurs twice is kept once, so that no split has one copy on either side. Embeddings take minutes and are kept in ``.bench``.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.gateway.minilm import MiniLM
from penstock.routing.answers import answer_features
from penstock.routing.features import prompt_features

Floats = NDArray[np.float64]

CACHE = Path(__file__).resolve().parents[2] / ".bench" / "routing"
SMALL, LARGE = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
PRICES = (0.24, 24.7)
"""Dollars a million tokens, as RouteLLM's section 5.4 takes them for Mixtral-8x7B and GPT-4."""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """One set: ``scores`` [n, candidates]; ``groups`` are MMLU's subjects; ``answers`` are features of the small model's answer."""

    name: str
    candidates: tuple[str, ...]
    features: Floats
    embeddings: Floats
    scores: Floats
    groups: NDArray[np.str_] | None = None
    answers: Floats | None = None

    @property
    def small(self) -> Floats:
        return self.scores[:, 0]

    @property
    def large(self) -> Floats:
        return self.scores[:, 1]


def embedded(name: str, texts: list[str]) -> Floats:
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = CACHE / f"{name}-{digest}.npy"
    if not path.exists():
        print(f"embedding {len(texts)} texts of {name}", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(path, MiniLM(CACHE).embed(texts).vectors)
    return np.load(path).astype(np.float64)


def gsm8k(data: Path) -> Outcomes:
    rows = _unique(_rows(data / "routellm" / "gsm8k_responses.csv"), "prompt")
    prompts = [row["prompt"] for row in rows]
    return Outcomes(
        name="GSM8K",
        candidates=(SMALL, LARGE),
        features=np.array([prompt_features(prompt) for prompt in prompts]),
        embeddings=embedded("gsm8k", prompts),
        scores=_right(rows),
        answers=np.array([answer_features(row["prompt"], row[f"{SMALL}_response"]) for row in rows]),
    )


def mmlu(data: Path) -> Outcomes:
    files = sorted((data / "routellm" / "mmlu").glob("*.csv"))
    rows = _unique([row | {"subject": file.stem.removeprefix("mmlu_")} for file in files for row in _rows(file)], "prompt")
    prompts = [row["prompt"] for row in rows]
    return Outcomes(
        name="MMLU",
        candidates=(SMALL, LARGE),
        features=np.array([prompt_features(prompt) for prompt in prompts]),
        embeddings=embedded("mmlu", prompts),
        scores=_right(rows),
        groups=np.array([row["subject"] for row in rows]),
    )


def nine(data: Path) -> Outcomes:
    rows = _unique([json.loads(line) for line in (data / "llmrouter" / "nine_models.jsonl").read_text().splitlines()], "question")
    candidates = tuple(sorted(rows[0]["scores"]))
    prompts = [row["question"] for row in rows]
    return Outcomes(
        name="nine models",
        candidates=candidates,
        features=np.array([prompt_features(prompt) for prompt in prompts]),
        embeddings=embedded("nine", prompts),
        scores=np.array([[row["scores"][name] for name in candidates] for row in rows]),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _unique(rows: list[dict], key: str) -> list[dict]:
    return list({row[key]: row for row in reversed(rows)}.values())[::-1]


def _right(rows: list[dict[str, str]]) -> Floats:
    return np.array([[row[name] == "True" for name in (SMALL, LARGE)] for row in rows], dtype=np.float64)
