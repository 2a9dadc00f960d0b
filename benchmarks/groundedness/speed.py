"""CPU time of one judgement: a reply of 100 words beside a context of 300, every pair another."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.groundedness.data import CACHE, Row
from penstock.gateway.local_embedder import LocalEmbedder
from penstock.quality.grounded.detector import MeaningDetector, WordDetector

PAIRS = 100


def measure(rows: Sequence[Row]) -> dict[str, Any]:
    """Milliseconds of the process's CPU, all its threads: the median and the 95th percentile over pairs, and the median of first runs.

    Each pair is judged seven times in a row and its least time counts, since neighbours on the machine slow single runs down.
    """
    cases = _cases(rows)
    words, meaning = WordDetector(), MeaningDetector(LocalEmbedder(CACHE.parent / "models"))

    async def both() -> dict[str, Any]:
        await meaning.judge(*cases[0])
        found: dict[str, Any] = {}
        for name, detector in (("words", words), ("meaning", meaning)):
            runs = [[await _time(detector, *one) for _ in range(7)] for one in cases]
            least, first = sorted(map(min, runs)), sorted(times[0] for times in runs)
            found[name] = [least[len(least) // 2], least[int(len(least) * 0.95)], first[len(first) // 2]]
        return found

    return asyncio.run(both())


async def _time(detector: WordDetector, context: list[str], reply: str) -> float:
    began = time.process_time_ns()
    await detector.judge(context, reply)
    return (time.process_time_ns() - began) / 1e6


def _cases(rows: Sequence[Row]) -> list[tuple[list[str], str]]:
    rng = random.Random(0)
    by_claim: dict[str, list[Row]] = {}
    for row in rows:
        by_claim.setdefault(row.group, []).append(row)
    claims = list(by_claim)
    found: list[tuple[list[str], str]] = []
    for _ in range(PAIRS):
        # Claims with their own evidence, so that reply and context speak of the same things.
        chosen = rng.sample(claims, 12)
        context = " ".join(by_claim[claim][0].context for claim in chosen[:6]).split()[:300]
        reply = " ".join(by_claim[claim][0].reply for claim in chosen).split()[:100]
        found.append(([" ".join(context)], " ".join(reply)))
    return found
