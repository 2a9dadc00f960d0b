"""Calls of a task that drifts, as samples."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tests.house import founded

from penstock.app import capabilities, migration_packages
from penstock.quality import samples
from penstock.quality.samples import Kept
from penstock.quality.settings import QualitySettings
from penstock.storage.records import Records, open_records

START = 1_700_000_000.0
WORDS = ("card", "payment", "account", "transfer", "money", "bank", "fee", "limit", "cash", "loan", "rate", "login", "code", "pin", "app")
OTHERS = ("seat", "luggage", "airport", "passport", "hotel", "gate", "bus", "visit", "ship", "tour", "taxi", "coach", "trip", "sea", "map")
"""As long as those, so that lengths stay as they are."""


def kept(at: int, prompt: str, answer: str, *, task: str = "faq", organisation: str = "org", **more: Any) -> Kept:
    made: dict[str, Any] = {
        "id": f"{task}-{at:05}",
        "organisation": organisation,
        "task": task,
        "item": f"{task}-{at:05}",
        "candidate": "up/m",
        "source": "live",
        "propensity": 1.0,
        "prompt": prompt,
        "context": "",
        "answer": answer,
        "groups": {"language": "en"},
        "cost": 1,
        "latency_ms": 5.0,
        "input_tokens": len(prompt) // 4,
        "output_tokens": len(answer) // 4,
        "at": START + at * 60,
        "state": "waiting",
        "answered_by": "up/m",
    }
    return Kept(**(made | more))


def traffic(n: int, *, changes: int | None = None, model: int | None = None, seed: int = 0, **more: Any) -> list[Kept]:
    """Calls a minute apart; from call ``changes`` on half of them ask about something else, from ``model`` on another model answers."""
    chance = random.Random(seed)
    found: list[Kept] = []
    for at in range(n):
        words = OTHERS if changes is not None and at >= changes and chance.random() < 0.5 else WORDS
        prompt = "How is my " + " ".join(chance.choice(words) for _ in range(chance.randint(4, 9))) + "?"
        answer = "You may " + " ".join(chance.choice(WORDS) for _ in range(chance.randint(15, 30))) + "."
        by = "up/s" if model is not None and at >= model else "up/m"
        found.append(kept(at, prompt, answer, answered_by=by, **more))
    return found


class Hashing:
    """Words as directions: an embedder as far as drift can tell."""

    id = "hashing"

    def __init__(self) -> None:
        self.asked = 0

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.asked += len(texts)
        found: list[bytes] = []
        for text in texts:
            vector = np.full(97, 0.01, dtype=np.float32)
            for word in text.split():
                vector[sum(word.encode()) % 97] += 1
            found.append((vector / np.linalg.norm(vector)).astype(np.float32).tobytes())
        return found

    def at_hand(self, text: str) -> bytes | None:
        return None


@contextmanager
def stored(folder: Path) -> Generator[Records]:
    """An empty database."""
    founded(folder, migration_packages(capabilities()))
    records = open_records("", folder)
    try:
        yield records
    finally:
        records.close()


def put(store: Records, rows: Sequence[Kept]) -> None:
    """Keep these samples."""
    with store.begin() as connection:
        for at in range(0, len(rows), 200):
            samples.put(connection, rows[at : at + 200])


SETTINGS = QualitySettings(drift_reference=200)

__all__ = ["SETTINGS", "START", "Hashing", "kept", "put", "stored", "traffic"]
