"""The answer says only what its context supports, as the task's detector sees it (docs/groundedness.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from penstock.kernel.tasks import DetectorKind, Judge
from penstock.quality.evidence import name_of
from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade, judged, unjudged
from penstock.quality.grounded.calls import of_body
from penstock.quality.grounded.choice import Detectors
from penstock.quality.grounded.judgement import Limits

SHOWN = 20
"""Spans of one answer that a grade carries."""
IN_ITS_PLACE = name_of(Judge(kind="groundedness", detector="lexical"))
"""Who judged where the detector that was asked for could not."""


class Groundedness:
    """1 for a grounded answer, 0 for an ungrounded one. ``limits`` gives those of the task's calibration for a detector, by its id;
    between them nothing is judged.

    Where ``wanted`` (or the one of the settings) cannot judge, words alone do: the reason says so and why, and so does the judge's name,
    by which such a score is no evidence for a task that asked for another.
    """

    compares = False

    def __init__(
        self, detectors: Detectors, wanted: DetectorKind | None = None, limits: Callable[[str], Limits | None] = lambda detector: None
    ) -> None:
        self.name = name_of(Judge(kind="groundedness", detector=wanted))
        self._detectors = detectors
        self._wanted: DetectorKind | None = wanted
        self._limits = limits

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """The context is the item's, or what its messages hold of it. Without any, `unjudged` says so."""
        context, missing = context_of(item)
        told = await self._detectors.judge(self._wanted, context, answer)
        found = told.judgement
        detail: dict[str, Any] = {"detector": found.detector, "score": found.score}
        more: dict[str, Any] = {"detail": detail}
        instead = ""
        if told.fault is not None:
            why = f"{told.fault.code}: {told.fault.message}"
            detail |= {"instead_of": told.wanted, "why": why}
            more["judge"] = IN_ITS_PLACE
            instead = f"words alone judged, not {told.wanted} ({why})"
        limits = self._limits(found.detector)
        if limits is not None:
            detail["limits"] = [limits.low, limits.high]
        verdict = found.verdict if limits is None or found.score is None else limits.verdict(found.score)
        if verdict == "not_judged":
            return unjudged(_said(missing or found.why, instead), **more)
        if verdict == "unsure":
            return unjudged(_said("the detector is unsure: its score lies between the task's limits", instead), **more)
        doubtful = [msgspec.to_builtins(span) for span in found.spans if span.kind != "words" and span.score >= 0.5]
        detail["spans"] = doubtful[:SHOWN]
        return judged(float(verdict == "grounded"), _said(found.why, instead), **more)


def context_of(item: Item) -> tuple[tuple[str, ...], str]:
    """What the answer to an item may rest on, and why there is nothing where there is not."""
    if item.context.strip():
        return (item.context,), ""
    if isinstance(item.input, str):
        return (), ""
    evidence = of_body(msgspec.json.encode({"messages": item.input}))
    return evidence.context, evidence.missing


def _said(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


__all__ = ["IN_ITS_PLACE", "Groundedness", "context_of"]
