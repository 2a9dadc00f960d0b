"""Tasks whose truth is known: outcomes drawn from given rates, with prompts that say which candidate will do well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.kernel.evidence import Outcome
from penstock.kernel.tasks import Floor, Judge, Task
from penstock.routing.evidence import Material
from penstock.routing.labels import Labels, table
from penstock.routing.policy import Policy
from penstock.routing.series import Attempt
from penstock.routing.settings import RoutingSettings

CHEAP, DEAR = "cheap/small", "dear/large"
COSTS = {CHEAP: 10.0, DEAR: 1000.0}
SETTINGS = RoutingSettings()


def outcome(item: str, candidate: str, score: float = 1.0, **more: Any) -> Outcome:
    known: dict[str, Any] = {
        "item": item, "candidate": candidate, "score": score, "judge": "exact", "source": "evaluation", "prompt": f"prompt {item}",
        "reply": "The answer is 4.", "at": 1.0, "cost": round(COSTS.get(candidate, 10.0)), "latency_ms": 100.0,
        "input_tokens": 10, "output_tokens": 10,
    }  # fmt: skip
    return Outcome(**{**known, **more})


def drawn(rates: Mapping[str, float], n: int, seed: int = 0, *, at: float = 1.0, groups: dict[str, str] | None = None) -> list[Outcome]:
    """``n`` new prompts, judged for every candidate, each right at its rate."""
    rng = np.random.default_rng(seed)
    return [
        outcome(f"{at:g}-{seed}-{number}", name, float(rng.random() < rate), at=at, groups=groups or {})
        for number in range(n)
        for name, rate in rates.items()
    ]


def task(**more: Any) -> Task:
    known: dict[str, Any] = {
        "organisation": "o", "name": "sums", "owner": "maths", "default": DEAR, "candidates": (CHEAP, DEAR),
        "judge": Judge(kind="numeric"), "floor": Floor(level=0.8, kind="absolute"),
    }  # fmt: skip
    return Task(**{**known, **more})


def policy(**more: Any) -> Policy:
    known: dict[str, Any] = {
        "id": "policy_1", "organisation": "o", "task": "sums", "number": 1, "state": "active", "created_at": 1.0, "by": "key_1",
        "floor": Floor(level=0.8, kind="absolute"), "kind": "single", "chosen": CHEAP, "candidates": (CHEAP, DEAR),
        "costs": (10.0, 1000.0), "singles": (CHEAP, DEAR),
    }  # fmt: skip
    return Policy(**{**known, **more})


def material(of: Task, outcomes: list[Outcome], vectors: NDArray[Any] | None = None, **more: Any) -> Material:
    assert of.floor is not None
    labels: Labels = table(outcomes, of.candidates, 20_000)
    known: dict[str, Any] = {
        "task": of, "floor": of.floor, "reference": of.floor.reference or of.default, "labels": labels,
        "costs": tuple(COSTS.get(name, 10.0) for name in of.candidates), "vectors": vectors,
        "embedder": "minilm" if vectors is not None else "", "unembedded": "", "left_out": {}, "outcomes": outcomes,
    }  # fmt: skip
    return Material(**{**known, **more})


def first(alpha: float = 0.05) -> Attempt:
    return Attempt(series=1, number=1, alpha=alpha, since=0.0)


def directions(n: int, seed: int = 0, size: int = 8) -> NDArray[np.float64]:
    """Embeddings of length 1."""
    found = np.random.default_rng(seed).normal(size=(n, size))
    return found / np.linalg.norm(found, axis=1, keepdims=True)
