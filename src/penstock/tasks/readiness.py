"""What is missing before a task can be routed with proof: what its declaration tells, and what every other room contributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from penstock.kernel.candidates import Candidates, misplaced
from penstock.kernel.capability import Finding, TaskCheck
from penstock.kernel.errors import PenstockError, UnknownModel
from penstock.kernel.tasks import Floor, GuardPolicies, Task
from penstock.statistics.bounds import labels_needed

_AHEAD = 0.02
"""How much better than its floor a candidate is taken to be, when the labels that will be wanted are forecast."""
_LATE = ("human", "outcome")
_SEVERITY = {"fail": 0, "warn": 1, "off": 2, "ok": 3}


class Readiness:
    """Asks every check that the rooms brought, and its own."""

    def __init__(
        self,
        checks: Callable[[], Sequence[TaskCheck]],
        candidates: Callable[[], Candidates | None],
        guards: Callable[[], GuardPolicies | None],
    ) -> None:
        self._checks = checks
        self._candidates = candidates
        self._guards = guards

    async def findings(self, task: Task) -> list[Finding]:
        """What is missing, the worst first. A check that cannot say is told as one, and fails."""
        found = self._own(task)
        for check in self._checks():
            try:
                found += await check(task)
            except PenstockError as fault:
                found.append(Finding(name="check", status="fail", what=f"a check could not say: {fault.message}", mend="run it again"))
        return sorted(found, key=lambda one: _SEVERITY[one.status])

    def _own(self, task: Task) -> list[Finding]:
        return [*_judged(task), *self._standing(task), *self._guarded(task), *_measured(task)]

    def _standing(self, task: Task) -> list[Finding]:
        candidates = self._candidates()
        if candidates is None:
            return []
        found: list[Finding] = []
        able = 0
        for name in task.candidates:
            try:
                traits = candidates.traits(candidates.resolve(name), task.organisation)
            except UnknownModel as fault:
                mend = "configure its provider under [gateway.providers], or take it out of the task"
                found.append(Finding(name=f"candidate {name}", status="fail", what=fault.message, mend=mend))
                continue
            refused = misplaced(task, traits)
            if refused is not None:
                mend = "take it out of the task, say where its provider stands (gateway.providers.NAME.place), or allow the place"
                found.append(Finding(name=f"candidate {name}", status="warn", what=f"may never be asked: {refused}", mend=mend))
                continue
            able += 1
            if not traits.priced:
                mend = f"give one under [finops.prices.{name!r}], or say free = true of its provider where it costs nothing"
                found.append(
                    Finding(name=f"price of {name}", status="fail", what="no price is known, so nobody can say what is cheapest", mend=mend)
                )
            if traits.context is None:
                mend = "register a version with its context (POST /v1/registry/models)"
                what = "is not known, so calls that are too long for it are not kept from it"
                found.append(Finding(name=f"context of {name}", status="warn", what=what, mend=mend))
        if task.mode != "default" and able < 2:
            what = f"{'one' if able else 'none'} of them may serve, so there is nothing to choose between"
            found.append(Finding(name="candidates", status="fail" if not able else "warn", what=what, mend="name a cheaper candidate"))
        return found

    def _guarded(self, task: Task) -> list[Finding]:
        if not task.guard:
            return []
        guards = self._guards()
        if guards is None or task.guard not in guards.names():
            what = f"nobody enforces a guard policy {task.guard!r}"
            return [Finding(name="guard policy", status="warn", what=what, mend="leave guard out, or set up a policy of this name")]
        return [Finding(name="guard policy", status="ok", what=f"{task.guard} is enforced")]


def labels_wanted(floor: Floor) -> int | None:
    """About how many labels show that a candidate reaches a floor, when it is a little better than that; None where it cannot be better.

    A relative floor is about differences of two scores, which vary twice as much as one of them where nothing is known of their pairs.
    """
    reach = min(1.0, floor.level + _AHEAD)
    mean = (floor.level + reach) / 2 if floor.level + _AHEAD > 1 else reach
    if floor.kind == "relative":
        return labels_needed(mean=_AHEAD, variance=2 * 0.9 * 0.1, floor=0.0, confidence=floor.confidence)
    variance = max(mean * (1 - mean), 1e-4)
    return labels_needed(mean=mean, variance=variance, floor=floor.level, confidence=floor.confidence) if mean > floor.level else None


def _judged(task: Task) -> list[Finding]:
    found: list[Finding] = []
    if task.judge is None:
        what = "nobody says how good an answer is, so nothing can be proved"
        found.append(Finding(name="judge", status="fail", what=what, mend="declare one: judge = { kind = ... } (docs/tasks.md)"))
    else:
        found.append(Finding(name="judge", status="ok", what=task.judge.kind))
        if task.judge.model and task.judge.model in task.candidates:
            what = f"{task.judge.model} judges its own answers: models prefer what they wrote themselves"
            found.append(Finding(name="judge", status="warn", what=what, mend="let a model judge that is not among the candidates"))
    if task.floor is None:
        what = "nobody said how good is good enough"
        found.append(Finding(name="floor", status="fail", what=what, mend="declare one: floor = { level = 0.95, reference = ... }"))
    else:
        floor = task.floor
        what = f"{floor.level:g} of {floor.reference}" if floor.kind == "relative" else f"a score of {floor.level:g}"
        wanted = labels_wanted(floor)
        if wanted is not None:
            what += f", at {floor.confidence:.4g} confidence: about {_round(wanted)} labels for a candidate that is {_AHEAD:g} better"
        if floor.kind == "relative" and floor.reference is not None and all(one == floor.reference for one in task.candidates):
            found.append(Finding(name="floor", status="warn", what="refers to the only candidate", mend="name another candidate"))
        found.append(Finding(name="floor", status="ok", what=what))
    for one in task.slices:
        wanted = labels_wanted(Floor(level=one.level, kind="absolute", confidence=task.floor.confidence if task.floor else 0.95))
        if wanted is not None and wanted > one.least:
            what = f"{one.level:g} for each {one.by} takes about {_round(wanted)} labels in each; fewer than {one.least} are not judged"
            found.append(Finding(name=f"slices by {one.by}", status="ok", what=what))
    return found


def _measured(task: Task) -> list[Finding]:
    found: list[Finding] = []
    if task.mode == "default":
        what = f"{task.default} always serves, whatever the evidence says"
        found.append(Finding(name="mode", status="off", what=what, mend='say mode = "route" to let evidence decide'))
    if not task.sample and (task.judge is None or task.judge.kind not in _LATE):
        what = "no served call is judged, so nobody notices when quality slips"
        found.append(Finding(name="sampling", status="warn", what=what, mend="give sample, the share that is judged, such as 0.02"))
    if task.budget is None:
        what = "nothing limits what it costs"
        found.append(Finding(name="budget", status="warn", what=what, mend="give one: budget = { amount = 50.0, period = 'month' }"))
    return found


def _round(count: int) -> int:
    """A forecast is not given to the last digit."""
    step = 10 ** max(0, math.floor(math.log10(count)) - 1)
    return -(-count // step) * step
