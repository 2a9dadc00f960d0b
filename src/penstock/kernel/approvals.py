"""Whether a model may do a piece of work: the port through which every serving path asks the registry."""

from __future__ import annotations

from typing import Protocol

import msgspec

from penstock.kernel.principal import Principal


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

    @property
    def version(self) -> object:
        """Equal to what it was before for as long as no answer has changed."""
        ...

    def refusal(
        self, provider: str, model: str, *, organisation: str, task: str | None = None, data_class: str | None = None
    ) -> Refusal | None:
        """Why this organisation may not use ``model`` of ``provider`` for ``task``, or for a plain call where None; None when it may."""
        ...


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an evaluation found of one model: a metric in its own unit with an interval, on so many examples of ``dataset`` for ``task``.

    ``evaluation`` is the id of the evaluation; the same one with the same metric and task, told again, takes the place of what it told
    before. ``speed`` are figures with their units in their names (``tokens_per_second``, ``ttft_ms``).
    """

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    examples: int = 1
    dataset: str = ""
    task: str = ""
    evaluation: str = ""
    speed: dict[str, float] = {}  # msgspec gives each its own


class VersionEvaluations(Protocol):
    """Where evaluations are kept beside the versions that they are about. The registry provides it."""

    async def record(self, principal: Principal, target: str, found: Measured) -> str | None:
        """Note what was found on the live version that has the name ``target`` (``provider/model``) in the principal's organisation.

        The version's id; None when the organisation registered no such model, and nothing is noted. The first evaluation makes a version
        that is ready for it ``evaluated``; one that is not (its weights are not signed yet) keeps its state. Approves nothing. Raises
        `StorageError`.
        """
        ...


__all__ = ["Approvals", "Measured", "Refusal", "VersionEvaluations"]
