"""What the gateway finds missing before a task can be routed with proof: circuits that are open, a judge that cannot be asked, and names in
the settings that the task has taken over."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.gateway.choose import Catalogue
from penstock.gateway.health import Health
from penstock.gateway.standings import circuit_view
from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import Finding
from penstock.kernel.errors import UnknownModel
from penstock.kernel.tasks import TASK_PREFIX, Task


class TaskProviders:
    """A `TaskCheck`."""

    def __init__(self, catalogue: Catalogue, candidates: Candidates, health: Health) -> None:
        self._catalogue = catalogue
        self._candidates = candidates
        self._health = health

    async def __call__(self, task: Task) -> Sequence[Finding]:
        found = [one for name in task.candidates if (one := self._circuit(name)) is not None]
        judge = task.judge.model if task.judge is not None else None
        if judge is not None:
            try:
                self._candidates.resolve(judge)
            except UnknownModel as fault:
                mend = "configure its provider under [gateway.providers], or declare another judge"
                found.append(Finding(name=f"judge {judge}", status="fail", what=fault.message, mend=mend))
        alias = f"{TASK_PREFIX}{task.name}"
        if alias in self._catalogue.models:
            what = f'[gateway.models."{alias}"] is not used: the task says who serves it'
            found.append(Finding(name="name", status="warn", what=what, mend="take it out of the settings"))
        return found

    def _circuit(self, name: str) -> Finding | None:
        try:
            target = self._candidates.resolve(name)
        except UnknownModel:
            return None  # told by the room of the tasks
        standing = self._health.targets.get((target.provider, target.model))  # nobody was asked yet: nothing is known
        circuit = circuit_view(standing.circuit) if standing is not None else None
        if circuit is None or circuit.state == "closed":
            return None
        what = f"{circuit.state}: {circuit.why}"
        return Finding(name=f"circuit {name}", status="warn", what=what, mend="nothing, if it passes; /console/providers tells more")
