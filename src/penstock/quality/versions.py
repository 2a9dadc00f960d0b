"""What an evaluation says of the versions behind its candidates, for the registry."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.kernel.approvals import Measured
from penstock.quality.evidence import name_of
from penstock.quality.model import Evaluation
from penstock.quality.results import Results


def told_of(evaluation: Evaluation, results: Results) -> Iterator[tuple[str, Measured]]:
    """The name of each candidate that has a mean, and what was measured; aliases lead to no one version and are left out."""
    for one in results.candidates:
        if one.mean is None or "/" not in one.candidate:
            continue
        speed = {"latency_p50_ms": one.latency_p50} if one.latency_p50 is not None else {}
        yield (
            one.candidate,
            Measured(
                metric=name_of(evaluation.terms.judge)[:200],
                value=one.mean,
                low=one.interval.low,
                high=one.interval.high,
                examples=one.judged,
                dataset=evaluation.dataset,
                task=evaluation.task or "",
                evaluation=evaluation.id,
                speed={name: round(value, 3) for name, value in speed.items()},
            ),
        )
