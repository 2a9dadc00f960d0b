"""Recorded replies with people's labels, as samples that a detector has judged (recorded/README.md says whose they are)."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import msgspec

from penstock.quality.grounded.detector import WordDetector
from penstock.quality.samples import Kept

HERE = Path(__file__).parent / "recorded"


def recorded() -> list[dict[str, Any]]:
    """The rows of the file."""
    return [msgspec.json.decode(line) for line in (HERE / "begin_wow.jsonl").read_bytes().splitlines()]


def as_samples(organisation: str, *, labelled: int = 0, task: str = "answer", times: int = 1) -> list[Kept]:
    """Each as a live sample of the last hours, ``times`` over, judged by words; of each round ``labelled`` by chance also by a person."""
    detector, now = WordDetector(), time.time()
    found: list[Kept] = []
    for round in range(times):
        rows = recorded()
        drawn = set(random.Random(round).sample(range(len(rows)), labelled))
        for at, row in enumerate(rows):
            told = detector.judge_now((row["knowledge"],), row["reply"])
            score = float(told.verdict == "grounded")
            said = at in drawn
            more: dict[str, Any] = {
                "score": float(row["attributable"]) if said else score,
                "judge": "human" if said else "groundedness",
                "reason": "ada" if said else told.why,
            }
            found.append(
                Kept(
                    id=f"call-{task}-{round:03}-{at:03}",
                    organisation=organisation,
                    task=task,
                    item=f"call-{task}-{round:03}-{at:03}",
                    candidate=f"up/{row['model']}",
                    source="live",
                    propensity=1.0,
                    prompt=row["message"],
                    context=row["knowledge"],
                    answer=row["reply"],
                    groups={"language": "en", "team": "support" if at % 2 else "sales"},
                    cost=1,
                    latency_ms=5.0,
                    input_tokens=50,
                    output_tokens=20,
                    at=now - 3600 - round * 1800 - at,
                    state="judged",
                    model_score=score,
                    model_judge="groundedness",
                    **more,
                )
            )
    return found


__all__ = ["as_samples", "recorded"]
