"""What is known of a model before it is asked: how much it reads, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from penstock.kernel.call import Usage
from penstock.kernel.candidates import Candidates
from penstock.kernel.errors import UnknownModel
from penstock.kernel.recall import Prices
from penstock.kernel.tasks import TASK_PREFIX, Tasks

MILLION = 1_000_000


class Terms(Struct, frozen=True, kw_only=True):
    """``context`` in tokens, ``input`` and ``output`` in micro-dollars for a token; None where nobody knows."""

    context: int | None = None
    input: float | None = None
    output: float | None = None


class Known(Protocol):
    """Who knows terms."""

    def of(self, model: str, organisation: str) -> Terms:
        """Those of a name that agents ask; where it leads to several models, the narrowest context and the highest price."""
        ...


class Unknown:
    """Knows none."""

    def of(self, model: str, organisation: str) -> Terms:
        return Terms()


class ModelTerms:
    """Implements `Known` with what the house knows."""

    def __init__(
        self, candidates: Callable[[], Candidates | None], prices: Callable[[], Prices | None], tasks: Callable[[], Tasks | None]
    ) -> None:
        self._candidates = candidates
        self._prices = prices
        self._tasks = tasks

    def of(self, model: str, organisation: str) -> Terms:
        candidates, prices = self._candidates(), self._prices()
        if candidates is None:
            return Terms()
        contexts: list[int] = []
        inputs: list[int] = []
        outputs: list[int] = []
        for name in self._names(model, organisation):
            try:
                target = candidates.resolve(name)
            except UnknownModel:
                continue
            context = candidates.traits(target, organisation).context
            if context:
                contexts.append(context)
            if prices is None:
                continue
            into = prices.estimate(target.provider, target.model, Usage(input=MILLION))
            out = prices.estimate(target.provider, target.model, Usage(output=MILLION))
            if into is not None and out is not None:
                inputs.append(into)
                outputs.append(out)
        return Terms(
            context=min(contexts, default=None),
            input=max(inputs) / MILLION if inputs else None,
            output=max(outputs) / MILLION if outputs else None,
        )

    def _names(self, model: str, organisation: str) -> Sequence[str]:
        if not model.startswith(TASK_PREFIX):
            return (model,)
        tasks = self._tasks()
        task = tasks.find(organisation, model.removeprefix(TASK_PREFIX)) if tasks is not None else None
        return () if task is None else (task.default, *task.candidates)
