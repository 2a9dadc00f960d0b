"""What routing finds missing before a task is routed with proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.kernel.capability import Finding
from penstock.kernel.evidence import Evidence
from penstock.kernel.tasks import Task
from penstock.routing.memory import Policies
from penstock.routing.policy import claim_of


class Readiness:
    """Says whether the task's policy serves, and if not, why."""

    def __init__(self, policies: Policies, evidence: Callable[[], Evidence | None]) -> None:
        self._policies = policies
        self._evidence = evidence

    async def check(self, task: Task) -> Sequence[Finding]:
        """One finding; the default serves wherever it is not well."""
        if task.mode == "default":
            return [Finding(name="certificate", status="off", what="the task's mode is default, so nothing is chosen by evidence")]
        live, mend = self._policies.of(task), f"penstock tasks certify {task.name}"
        if self._evidence() is None:
            return [Finding(name="certificate", status="fail", what="nothing here keeps evidence, so nothing can be certified")]
        if live is None:
            return [Finding(name="certificate", status="fail", what="nothing is certified yet, so the default serves", mend=mend)]
        unusable = live.unusable(task, claim_of(task))
        if unusable is not None:
            return [Finding(name="certificate", status="fail", what=unusable, mend=mend)]
        policy = live.policy
        what = f"policy {policy.number} holds the floor on {policy.labels} labels: {policy.why}"
        return [Finding(name="certificate", status="ok", what=what)]
