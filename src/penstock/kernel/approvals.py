"""Whether a model may do a piece of work: the port through which every serving path asks the registry."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Why a target may not be used: ``code`` is ``model_not_approved``, ``model_not_registered``, ``model_revoked`` or
    ``place_not_allowed``."""

    code: str
    message: str


class Approvals(Protocol):
    """What may be used for what, from memory, in microseconds: what is approved, and where a declared task's data may go. A change made by
    any process is acted on within a second."""

    @property
    def idle(self) -> bool:
        """Whether everything is allowed: nobody registered anything, the policy is open, and no task is declared."""
        ...

    def refusal(
        self, provider: str, model: str, *, organisation: str, task: str | None = None, data_class: str | None = None
    ) -> Refusal | None:
        """Why this organisation may not use ``model`` of ``provider`` for ``task``, or for a plain call where None; None when it may."""
        ...


__all__ = ["Approvals", "Refusal"]
