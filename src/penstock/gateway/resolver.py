"""Every name that a caller may ask for: those of the catalogue, and ``task:NAME`` of tasks that are declared.

While no evidence chooses, a task is served by its default candidate and, where that fails, by those that may stand in for it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol

from penstock.kernel.call import Target
from penstock.kernel.candidates import Candidates, in_order
from penstock.kernel.errors import NotApproved, PenstockError, UnknownModel
from penstock.kernel.tasks import TASK_PREFIX, Task, Tasks

_REMEMBERED = 10_000


class Names(Protocol):
    """The catalogue, as far as names go."""

    def resolve(self, name: str) -> tuple[Target, ...]: ...


class Resolver:
    """Answers for the organisation that asks, since each may have tasks of its own. Knows no tasks before `open`."""

    def __init__(self, names: Names, candidates: Candidates) -> None:
        self._names = names
        self._candidates = candidates
        self._tasks: Tasks | None = None
        self._chains: dict[tuple[str, str], tuple[Task, int, tuple[Target, ...]]] = {}

    def open(self, tasks: Tasks | None) -> None:
        """Say who knows the tasks; before the first call."""
        self._tasks = tasks

    def of(self, name: str, organisation: str) -> tuple[Target, ...]:
        """The targets behind ``name``, in the order to try.

        Raises `UnknownModel` with the nearest known name, and `NotApproved` (``no_candidate_allowed``) for a task that nobody may do.
        """
        if not name.startswith(TASK_PREFIX):
            return self._names.resolve(name)
        task = self._task(name, organisation)
        if task is not None:
            return self._chain(task, organisation)
        try:
            return self._names.resolve(name)
        except UnknownModel as fault:
            near = difflib.get_close_matches(name, self.tasks(organisation), n=1)
            if near:
                raise UnknownModel(f"there is no {name[:200]!r}; did you mean {near[0]!r}?", param="model") from fault
            raise

    def leads_to(self, name: str, provider: str, model: str, organisation: str) -> bool:
        """Whether that provider's model is one of those that may answer for ``name``: of a task, any candidate."""
        task = self._task(name, organisation)
        try:
            targets = self._names.resolve(name) if task is None else [self._candidates.resolve(one) for one in task.candidates]
        except PenstockError:
            return False
        return any(target.provider == provider and target.model == model for target in targets)

    def tasks(self, organisation: str) -> Sequence[str]:
        """The names under which the organisation's tasks are called."""
        return [TASK_PREFIX + task.name for task in self._tasks.all(organisation)] if self._tasks is not None else []

    def _task(self, name: str, organisation: str) -> Task | None:
        if self._tasks is None or not name.startswith(TASK_PREFIX):
            return None
        return self._tasks.find(organisation, name[len(TASK_PREFIX) :])

    def _chain(self, task: Task, organisation: str) -> tuple[Target, ...]:
        known, version = self._chains.get((organisation, task.name)), self._candidates.version
        if known is not None and known[0] is task and known[1] == version:
            return known[2]
        chain, left = in_order(task, self._candidates, organisation)
        if not chain:
            each = "; ".join(f"{name}: {why}" for name, why in left.items())
            said = f"no candidate of the task {task.name!r} may do this call: {each}"
            raise NotApproved(said, code="no_candidate_allowed", param="model")
        if len(self._chains) >= _REMEMBERED:
            self._chains.clear()
        found = tuple(chain)
        self._chains[organisation, task.name] = (task, version, found)
        return found
