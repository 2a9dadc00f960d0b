"""The station that leaves a call only the targets that are approved for it."""

from __future__ import annotations

from penstock.kernel.approvals import Approvals, Refusal
from penstock.kernel.call import Call, Reply, Target
from penstock.kernel.errors import NotApproved
from penstock.kernel.stage import Proceed, Slot


class Approve:
    """Takes targets that are not approved for the call away, and refuses when none is left.

    It stands behind whoever chooses and before money is set aside, so retries, fallbacks and hedges know only what it left.
    """

    name = "approve"
    slot = Slot.CHOOSE

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def concerns(self, call: Call) -> bool:
        """Whether anything is registered."""
        return not self._approvals.idle

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        approvals = self._approvals
        organisation = call.principal.organisation if call.principal is not None else ""
        kept: list[Target] = []
        refused: Refusal | None = None
        for target in call.targets:
            found = approvals.refusal(target.provider, target.model, organisation=organisation, task=call.task)
            if found is None:
                kept.append(target)
            else:
                refused = refused or found
                call.notes.append(f"not used: {found.message}")
        if refused is not None:
            if not kept:
                raise NotApproved(refused.message, code=refused.code, param="model")
            call.targets = kept
        return await proceed(call)
