"""Everything that holds for a call whatever the evidence says: what is approved, and where the task's data may go."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.kernel.approvals import Refusal
from penstock.kernel.call import Target
from penstock.kernel.candidates import Candidates, in_order, misplaced
from penstock.kernel.ports import Metric, Ports
from penstock.kernel.tasks import Task, Tasks
from penstock.registry.standing import Standing

_REMEMBERED = 10_000
_Key = tuple[str, str, str, str]


class Permits:
    """`Approvals`, and a service that joins it to the rooms that know tasks and candidates; before, there are none.

    A task that nobody declared is a word on the record, and holds a call to nothing.
    """

    name = "permits"

    def __init__(self, standing: Standing, ports: Ports) -> None:
        self._standing = standing
        self._ports = ports
        self._tasks: Tasks | None = None
        self._candidates: Candidates | None = None
        self._places: dict[_Key, Refusal | None] = {}
        self._of = (-1, -1)
        self._any = (-1, False)
        self.misplaced = 0

    async def start(self) -> None:
        """Ask who knows the tasks and their candidates."""
        self._tasks, self._candidates = self._ports.find(Tasks), self._ports.find(Candidates)

    async def stop(self) -> None:
        """Nothing has to be given back."""

    def metrics(self) -> Iterable[Metric]:
        """How often data was kept from going where it may not."""
        told = "Times that a model was kept from a call because the task's data may not go there."
        yield Metric(name="penstock_registry_misplaced", help=told, kind="counter", samples=(({}, self.misplaced),))

    @property
    def idle(self) -> bool:
        """See `Approvals.idle`."""
        return self._standing.idle and not self._declared()

    @property
    def version(self) -> tuple[int, int, int]:
        """See `Approvals.version`."""
        tasks, candidates = self._tasks, self._candidates
        return self._standing.version, tasks.version if tasks is not None else -1, candidates.version if candidates is not None else -1

    def refusal(
        self, provider: str, model: str, *, organisation: str, task: str | None = None, data_class: str | None = None
    ) -> Refusal | None:
        """See `Approvals.refusal`. The data class is the task's where none is given."""
        declared = self._tasks.find(organisation, task) if task is not None and self._tasks is not None else None
        if declared is None:
            return self._standing.refusal(provider, model, organisation=organisation, task=task, data_class=data_class)
        refused = self._place(declared, provider, model, organisation)
        if refused is not None:
            self.misplaced += 1
            return refused
        return self._standing.refusal(provider, model, organisation=organisation, task=task, data_class=data_class or declared.data_class)

    def everybody(self, name: str, organisation: str) -> dict[str, str]:
        """By candidate of the task, why it may not do a call, or is none that stands in for the default; empty for an unknown task."""
        task = self._tasks.find(organisation, name) if self._tasks is not None else None
        if task is None or self._candidates is None:
            return {}
        chain, left = in_order(task, self._candidates, organisation)
        refused = {one.name: self.refusal(one.provider, one.model, organisation=organisation, task=name) for one in chain}
        return {**{one: why.message for one, why in refused.items() if why is not None}, **left}

    def _declared(self) -> bool:
        """Whether there is any task; asked for every call, so the answer is kept until tasks change."""
        tasks = self._tasks
        if tasks is None:
            return False
        if tasks.version != self._any[0]:
            self._any = (tasks.version, bool(tasks.all()))
        return self._any[1]

    def _place(self, task: Task, provider: str, model: str, organisation: str) -> Refusal | None:
        candidates, tasks = self._candidates, self._tasks
        if candidates is None or tasks is None:
            return None
        versions = (tasks.version, candidates.version)
        if versions != self._of or len(self._places) >= _REMEMBERED:
            self._places, self._of = {}, versions
        asked = (task.name, provider, model, organisation)
        try:
            return self._places[asked]
        except KeyError:
            why = misplaced(task, candidates.traits(Target(provider, model, ""), organisation))
            found = self._places[asked] = Refusal("place_not_allowed", f"{provider}/{model}: {why}") if why is not None else None
            return found
