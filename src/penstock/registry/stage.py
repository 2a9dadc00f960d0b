"""The station that leaves a call only the targets that may do it: approved for it, and where its data may go."""

from __future__ import annotations

from penstock.kernel.approvals import Refusal
from penstock.kernel.call import Call, Reply, Target
from penstock.kernel.errors import NotApproved
from penstock.kernel.stage import Proceed, Slot
from penstock.kernel.tasks import TASK_PREFIX
from penstock.registry.permits import Permits


class Approve:
    """Takes targets away that are not approved for the call or stand where its data may not go, and refuses when none is left.

    It stands behind whoever chooses and before money is set aside, so retries, fallbacks and hedges know only what it left.
    """

    name = "approve"
    slot = Slot.CHOOSE

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def concerns(self, call: Call) -> bool:
        """Whether anything is registered, or any task declared."""
        return not self._permits.idle

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        permits = self._permits
        # What a task serves is tried as its users get it: only a model that is asked for by name can be on its way to an approval.
        trial = call.trial and not call.model.startswith(TASK_PREFIX)
        organisation = call.principal.organisation if call.principal is not None else ""
        kept: list[Target] = []
        refused: Refusal | None = None
        for target in call.targets:
            found = permits.refusal(target.provider, target.model, organisation=organisation, task=call.task, trial=trial)
            if found is None:
                kept.append(target)
            else:
                refused = refused or found
                call.notes.append(f"not used: {found.message}")
        if refused is not None:
            if not kept:
                if call.model.startswith(TASK_PREFIX) and (each := permits.everybody(call.model[len(TASK_PREFIX) :], organisation)):
                    reasons = "; ".join(f"{name}: {why.removeprefix(name).lstrip(': ')}" for name, why in each.items())
                    said = f"no candidate of the task {call.task!r} may do this call: {reasons}"
                    raise NotApproved(said, code="no_candidate_allowed", param="model")
                raise NotApproved(refused.message, code=refused.code, param="model")
            call.targets = kept
        return await proceed(call)
