"""Bar 2, second half: traffic changes to subjects that the evidence never had. How many calls pass before the claim is suspended?

A claim is made on MMLU without some subjects. 300 calls like the evidence follow, then only calls of those subjects. Every call after
the change counts, whether its answer was right or wrong. Beside it: how often a claim is suspended although nothing changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.data import Floats, Outcomes
from penstock.statistics.bounds import clopper_pearson
from penstock.statistics.monitor import Strangeness, Watch, Witness

CALM = 300
QUIET = 1000
"""Calls without a change, for the false alarms."""
EVIDENCE = 4000
"""Prompts that the monitors know; they need no labels."""


def run(found: Outcomes, groups: int, streams: int) -> dict[str, Any]:
    assert found.groups is not None
    subjects = np.unique(found.groups)
    delays: list[int | None] = []
    false = quiet = 0
    for group in range(groups):
        rng = np.random.default_rng(group)
        held = rng.choice(subjects, size=6, replace=False)
        outside = np.flatnonzero(np.isin(found.groups, held))
        inside = rng.permutation(np.flatnonzero(~np.isin(found.groups, held)))
        known, rest = inside[:1500], inside[1500:]
        far = distance(found.embeddings[known], found.embeddings)
        for _ in range(streams):
            order = rng.permutation(rest)
            evidence, calls = order[:EVIDENCE], order[EVIDENCE:]
            delays.append(alarm(found, far, evidence, np.concatenate([calls[:CALM], rng.permutation(outside)[:600]])))
            false += alarm(found, far, evidence, calls[:QUIET]) is not None
            quiet += 1
    after = [None if d is None else d - CALM for d in delays]
    early = sum(d is not None and d <= 0 for d in after)
    fired = sorted(d for d in after if d is not None and d > 0)
    late = len(after) - early - len(fired)
    counted = fired + [10**6] * late
    return {
        "streams": len(after),
        "before_the_change": early,
        "never": late,
        "within_200": sum(d <= 200 for d in fired) / max(1, len(counted)),
        "median": float(np.median(counted)),
        "p90": float(np.quantile(counted, 0.9)),
        "worst": max(counted),
        "false_alarms": false / quiet,
        "false_alarms_interval": clopper_pearson(false, quiet),
        "quiet_calls": QUIET,
    }


def alarm(found: Outcomes, far: Floats, evidence: NDArray[np.int64], stream: NDArray[np.int64]) -> int | None:
    """After how many calls of ``stream`` a claim on ``evidence`` is suspended, None for never. ``far``: each prompt's `distance`."""
    half = len(evidence) // 2
    stranger, witness = Strangeness(list(far[evidence[:half]]), higher=True), Witness(found.embeddings[evidence[half:]])
    watch = Watch(stranger, witness)
    for number, call in enumerate(stream, 1):
        stranger.observe(float(far[call]))
        witness.observe(found.embeddings[call])
        if watch.check():
            return number
    return None


def distance(known: Floats, points: Floats, neighbours: int = 5) -> Floats:
    """How far the nearest prompts of the evidence are, by cosine."""
    near = points @ known.T
    return -np.partition(near, -neighbours, axis=1)[:, -neighbours:].mean(axis=1)
