"""What routing finds missing before a task is routed with proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.kernel.capability import Finding
from penstock.kernel.evidence import Evidence
from penstock.kernel.tasks import Task
from penstock.routing.binding import Bound, unbound
from penstock.routing.memory import Policies
from penstock.routing.policy import claim_of


class Readiness:
    """Says whether the task's policy serves, and if not, why."""

    def __init__(
        self, policies: Policies, evidence: Callable[[], Evidence | None], models: Callable[[Task], Bound] = lambda task: {}
    ) -> None:
        """``models`` says where the task's candidates lead now."""
        self._policies = policies
        self._evidence = evidence
        self._models = models

    async def check(self, task: Task) -> Sequence[Finding]:
        """One finding; the default serves wherever it is not well."""
        if task.mode == "default":
            return [Finding(name="certificate", status="off", what="the task's mode is default, so nothing is chosen by evidence")]
        live, mend = self._policies.of(task), f"penstock tasks certify {task.name}"
        if self._evidence() is None:
            return [Finding(name="certificate", status="fail", what="nothing here keeps evidence, so nothing can be certified")]
        if live is None:
            return [Finding(name="certificate", status="fail", what="nothing is certified yet, so the default serves", mend=mend)]
        unusable = live.unusable(task, claim_of(task), self._models(task))
        if unusable is not None:
            return [Finding(name="certificate", status="fail", what=unusable, mend=mend)]
        policy = live.policy
        what = f"policy {policy.number} holds the floor on {policy.labels} labels: {policy.why}"
        found = [Finding(name="certificate", status="ok", what=what)]
        if missing := unbound(policy):
            said = f"policy {policy.number} does not say on which models {', '.join(missing)} was measured"
            found.append(Finding(name="models", status="warn", what=f"{said}; where they lead elsewhere it is not noticed", mend=mend))
        elif policy.presumed:
            said = f"to which models {', '.join(policy.presumed)} led was written down after policy {policy.number} was certified"
            found.append(Finding(name="models", status="warn", what=f"{said}; certify anew to be sure", mend=mend))
        return found
