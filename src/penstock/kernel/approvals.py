"""Whether a model may do a piece of work: the port through which every serving path asks the registry."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Why a target may not be used: ``code`` is ``model_not_approved``, ``model_not_registered`` or ``model_revoked``."""

    code: str
    message: str


class Approvals(Protocol):
    """What is approved for what, from memory, in microseconds. A change made by any process is acted on within a second."""

    @property
    def idle(self) -> bool:
        """Whether everything is allowed: nobody registered anything, and the policy is open."""
        ...

    def refusal(
        self, provider: str, model: str, *, organisation: str, task: str | None = None, data_class: str | None = None
    ) -> Refusal | None:
        """Why this organisation may not use ``model`` of ``provider`` for ``task``, or for a plain call where None; None when it may."""
        ...


__all__ = ["Approvals", "Refusal"]
