"""How the parts of the tasks are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import Finding, House, Offer, TaskChecks
from penstock.kernel.errors import SettingsError
from penstock.kernel.ports import Directory
from penstock.kernel.tasks import GuardPolicies, Task, Tasks
from penstock.kernel.web import NavItem
from penstock.storage.records import Records
from penstock.tasks import form_pages
from penstock.tasks.declaration import Declaration, task_of
from penstock.tasks.memory import Known
from penstock.tasks.pages import pages
from penstock.tasks.readiness import Readiness
from penstock.tasks.refresh import Refresh
from penstock.tasks.routes import routes
from penstock.tasks.service import TaskService
from penstock.tasks.settings import TasksSettings
from penstock.tasks.validation import Fault, faults, misfits


def wire(house: House) -> Offer:
    """Build the tasks inside ``house``. Raises `SettingsError` for tasks of the settings that are wrong whoever their candidates are."""
    settings, ports = house.settings(TasksSettings), house.ports
    declared = settings.declared
    for name, told in declared.items():
        _expect(name, list(faults(name, told)))

    def candidates() -> Candidates | None:
        return ports.find(Candidates)

    def home() -> str:
        directory = ports.find(Directory)
        return directory.home if directory is not None else ""

    def shared() -> Mapping[str, Task]:
        return _shared(declared, home(), candidates())

    async def check() -> Sequence[Finding]:
        try:
            _shared(declared, home(), candidates())
        except SettingsError as fault:
            return [Finding(name="tasks", status="fail", what=fault.message, mend="correct the task and run this again")]
        many = f"{len(declared)} in the settings"
        return [Finding(name="tasks", status="ok" if declared else "off", what=many, mend=None)]

    known = Known()
    refresh = Refresh(ports.get(Records), known, shared, home, house.events, settings.refresh_seconds)
    service = TaskService(ports.get(Records), known, refresh, declared, candidates)
    readiness = Readiness(lambda: ports.find(TaskChecks) or (), candidates, lambda: ports.find(GuardPolicies))
    return Offer(
        routes=routes(service, readiness, ports),
        pages=(*form_pages.pages(ports, service), *pages(ports, service, readiness)),
        nav=(NavItem("Tasks", "/console/tasks", "tasks", "Govern", 5, "t"),),
        services=(refresh,),
        checks=(check,),
        metrics=(refresh,),
        ports={Tasks: known},
    )


def _shared(declared: Mapping[str, Declaration], home: str, candidates: Candidates | None) -> Mapping[str, Task]:
    if candidates is not None:
        for name, told in declared.items():
            _expect(name, list(misfits(home, name, told, candidates)))
    return {name: task_of(home, name, told, shared=True) for name, told in declared.items()}


def _expect(name: str, found: Sequence[Fault]) -> None:
    if found:
        each = "; ".join(f'tasks."{name}".{one.said()}' for one in found)
        raise SettingsError(each, code="task_invalid", param=f"tasks.{name}.{found[0].where}")
