"""The answer says only what its context supports, as the detector of words sees it (docs/groundedness.md)."""

from __future__ import annotations

import asyncio

import msgspec

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade, judged, unjudged
from penstock.quality.grounded.calls import of_body
from penstock.quality.grounded.detector import WordDetector
from penstock.quality.grounded.judgement import Limits

SHOWN = 20
"""Spans of one answer that a grade carries."""


class Groundedness:
    """1 for a grounded answer, 0 for an ungrounded one. ``limits`` are those of a task's calibration; between them nothing is judged."""

    name = "groundedness"
    compares = False

    def __init__(self, limits: Limits | None = None) -> None:
        self._detector = WordDetector(limits)

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """The context is the item's, or what its messages hold of it. Without any, `unjudged` says so."""
        context: tuple[str, ...] = (item.context,) if item.context.strip() else ()
        missing = ""
        if not context and not isinstance(item.input, str):
            evidence = of_body(msgspec.json.encode({"messages": item.input}))
            context, missing = evidence.context, evidence.missing
        # A thread, since a long answer beside a long context takes more than the event loop should wait for.
        found = await asyncio.to_thread(self._detector.judge_now, context, answer)
        detail = {"detector": found.detector, "score": found.score}
        if found.verdict == "not_judged":
            return unjudged(missing or found.why, detail=detail)
        if found.verdict == "unsure":
            return unjudged("the detector is unsure: its score lies between the task's limits", detail=detail)
        doubtful = [msgspec.to_builtins(span) for span in found.spans if span.kind == "sentence" and span.score >= 0.5]
        return judged(float(found.verdict == "grounded"), found.why, detail={**detail, "spans": doubtful[:SHOWN]})


__all__ = ["Groundedness"]
