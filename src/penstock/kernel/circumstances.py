"""What bears on a choice besides quality: whether a target does well at the moment, and what a caller may still spend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from penstock.kernel.call import Call, Target


class Wellbeing(Protocol):
    """How targets do, as the sender sees them in this process. From memory, in a microsecond."""

    def trouble(self, target: Target) -> str | None:
        """Why a call would be passed over there now; None when it would be let in, be it as a probe."""
        ...

    def all_well(self, targets: Iterable[Target]) -> bool:
        """Whether nothing is known against any of them. Where it is false, `trouble` says of whom, if of anybody."""
        ...


class Purse(Protocol):
    """What may still be spent."""

    def left(self, call: Call) -> int | None:
        """Micro-dollars that the budgets of the call's owners leave; None where no budget limits it."""
        ...


class Installments(Protocol):
    """Money of a call that asks several models one after the other, each of which is paid."""

    async def close(self, call: Call) -> None:
        """Write what the call has used so far onto the ledger as a row of its own; on return it survives the death of the process.

        The call goes on without usage, cost and target, as if it had only begun; at its end they are the sums. What was reserved stays
        reserved. Raises `StorageError` when it could not be written, and then nothing has changed.
        """
        ...


__all__ = ["Installments", "Purse", "Wellbeing"]
