"""What is told of groundedness before anybody relies on it: whether the detector that was asked for judges, and with which limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from penstock.kernel.capability import Finding
from penstock.kernel.errors import PenstockError
from penstock.kernel.tasks import Task
from penstock.quality.grounded.calibrate import labels_wanted
from penstock.quality.grounded.choice import Chosen, Detectors
from penstock.quality.limits.calibrations import Calibrations
from penstock.quality.settings import QualitySettings

NAME = "groundedness detector"
MEND = "put the file there, or name another detector: quality.detector, judge.detector (docs/groundedness.md)"


class GroundednessChecks:
    """A `TaskCheck` and a `Check`."""

    def __init__(self, settings: QualitySettings, detectors: Detectors, calibrations: Calibrations) -> None:
        self._settings = settings
        self._detectors = detectors
        self._calibrations = calibrations

    async def house(self) -> Sequence[Finding]:
        """The detector of the settings, and the one whose folder they name."""
        settings = self._settings
        chosen = [await self._detectors.choose(None)]
        if settings.detector_folder and settings.detector != "tokens":
            chosen.append(await self._detectors.choose("tokens"))
        return [_told(one) for one in chosen]

    async def task(self, task: Task) -> Sequence[Finding]:
        """The task's detector, and whether its verdicts rest on labels of the task's own."""
        if task.judge is None or task.judge.kind != "groundedness":
            return []
        chosen = await self._detectors.choose(task.judge.detector)
        return [_told(chosen), self._limits(task, chosen)]

    def _limits(self, task: Task, chosen: Chosen) -> Finding:
        name, mend = (
            "groundedness limits",
            f"label {labels_wanted(0.1, 0.95)} replies of each kind, then: penstock quality calibrate {task.name}",
        )
        held = self._calibrations.of_task(task.organisation, task.name)
        mine = next((one for one in held if one.detector == chosen.detector.id), None)
        if mine is not None:
            found, limits = mine.found, mine.found.limits
            day = datetime.fromtimestamp(mine.created_at, UTC).date().isoformat()
            what = (
                f"grounded up to {limits.low:.3g}, ungrounded from {limits.high:.3g}, {found.unsure:.0%} of the labels between them; from"
                f" {found.grounded} grounded and {found.ungrounded} ungrounded replies on {day}: at most {found.error:.0%} wrong of either,"
                f" at {found.confidence:.4g} confidence"
            )
            return Finding(name=name, status="ok", what=what)
        if held:
            others = ", ".join(one.detector for one in held)
            what = f"were found for {others}, and {chosen.detector.id} judges: one half parts its verdicts"
            return Finding(name=name, status="warn", what=what, mend=f"calibrate again: penstock quality calibrate {task.name}")
        what = "nobody labelled its replies, so one half parts the verdicts, and how often they are wrong is not known"
        return Finding(name=name, status="warn", what=what, mend=mend)


def _told(chosen: Chosen) -> Finding:
    if chosen.fault is None:
        return Finding(name=NAME, status="ok", what=f"{chosen.wanted}: {chosen.detector.id}")
    fault: PenstockError = chosen.fault
    what = f"{chosen.wanted} is not there, words alone judge in its place, which is no evidence: {fault.code}: {fault.message}"
    return Finding(name=NAME, status="warn", what=what, mend=MEND)


__all__ = ["GroundednessChecks"]
