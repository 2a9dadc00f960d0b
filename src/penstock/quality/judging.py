"""Graders for whoever judges: evaluations and samples of live traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from penstock.kernel.tasks import Judge
from penstock.quality import graders
from penstock.quality.asking import Asked, Asking
from penstock.quality.graders import Code, Grader, Heard, Matcher
from penstock.quality.graders.groundedness import Groundedness
from penstock.quality.grounded.choice import Detectors
from penstock.quality.grounded.judgement import Limits
from penstock.quality.settings import QualitySettings

LimitsOf = Callable[[str, str, str], Limits | None]
"""The limits that an organisation's task has for a detector, by its id."""


class Judging:
    """Makes graders; what they share (a process that matches, places for tests of code) it holds once."""

    def __init__(self, settings: QualitySettings, asking: Callable[[], Asking], detectors: Detectors, limits: LimitsOf) -> None:
        """``limits`` are those that a task's calibration found."""
        self._asking = asking
        self._detectors = detectors
        self._limits = limits
        self.matcher = Matcher()
        self._code = Code(on=settings.code == "on", seconds=settings.code_seconds)

    def grader(self, judge: Judge, asked: Asked) -> Grader:
        """The judge's grader, whose questions to models are asked like ``asked``, only for no task: a judge need not be approved for it.

        Raises `RequestError` for a judge that lacks something.
        """
        mine = msgspec.structs.replace(asked, task=None, labels={**asked.labels, "judge": judge.kind}, inside="judge")

        async def ask(model: str, messages: list[dict[str, Any]], max_tokens: int) -> Heard:
            said = await self._asking().ask(mine, model, messages, {"max_tokens": max_tokens, "temperature": 0})
            return Heard(text=said.text, error=said.error, cost=said.cost, paid=said.paid)

        def limits(detector: str) -> Limits | None:
            return self._limits(asked.organisation, asked.task, detector) if asked.task is not None else None

        grounded = Groundedness(self._detectors, judge.detector, limits)
        return graders.of(judge, asks=ask, matcher=self.matcher, code=self._code, grounded=grounded)

    async def close(self) -> None:
        """End what runs beside us."""
        await self.matcher.close()
