"""Tasks in the console: which there are, and what is declared, allowed and missing for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import msgspec

from penstock.console import Console
from penstock.kernel.candidates import places_of
from penstock.kernel.capability import TaskPanels
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.tasks import Floor, Judge, Recertify, Spending, Task
from penstock.kernel.web import Page
from penstock.tasks.candidates import candidates_of
from penstock.tasks.model import TaskView
from penstock.tasks.readiness import Readiness
from penstock.tasks.service import TaskService

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TONES = {"ok": "ok", "off": "neutral", "warn": "warn", "fail": "bad"}
WORDS = {"ok": "ok", "off": "off", "warn": "warning", "fail": "missing"}


def pages(ports: Ports, service: TaskService, readiness: Readiness) -> Sequence[Page]:
    """The list, and one task."""

    def name(id: str | None) -> str:
        directory = ports.find(Directory)
        return id or "" if directory is None or id is None else directory.name(id)

    async def listed(request: Request, principal: Principal) -> Response:
        several = principal.reach is None
        rows = [
            _listed(view, service.task(principal, view.name, view.organisation), name(view.organisation), several)
            for view in service.list(principal)
        ]
        return ports.get(Console).page(
            request, "tasks/tasks.html", title="Tasks", rows=rows, several=several, may_change=principal.may(Scope.ADMIN)
        )

    async def one(request: Request, principal: Principal) -> Response:
        whose = request.query_params.get("organisation")
        view = service.get(principal, request.path_params["name"], whose)
        task = service.task(principal, view.name, view.organisation)
        findings = await readiness.findings(task)
        trail = [] if view.shared else await service.trail(principal, view.name, 0, 200)
        return ports.get(Console).page(
            request,
            "tasks/task.html",
            title=view.name,
            crumbs=(("Tasks", "/console/tasks"),),
            task=task,
            facts=_facts(task),
            limits=_limits(task),
            candidates=candidates_of(task, ports),
            findings=findings,
            missing=sum(found.status == "fail" for found in findings),
            tones=TONES,
            words=WORDS,
            panels=[(p.label, p.href.replace("{name}", quote(task.name, safe="")), p.told) for p in ports.find(TaskPanels) or ()],
            declaration=f"/console/tasks/{quote(view.name, safe='')}/declaration"
            + (f"?{urlencode({'organisation': whose})}" if whose else ""),
            may_change=principal.may(Scope.ADMIN) and not view.shared and view.organisation == principal.organisation,
            where=f"penstock.toml, [tasks.{msgspec.json.encode(task.name).decode()}]" if view.shared else "",
            changed_by=name(view.changed_by),
            changed_at=view.changed_at,
            trail=[(line, name(line.person or line.by), ", ".join(line.changes)) for line in reversed(trail)],
        )

    return (Page(path="/console/tasks", handler=listed), Page(path="/console/tasks/{name}", handler=one))


def _listed(view: TaskView, task: Task, organisation: str, several: bool) -> dict[str, object]:
    query = f"?{urlencode({'organisation': view.organisation})}" if several and not view.shared else ""
    return {
        "href": f"/console/tasks/{quote(view.name, safe='')}{query}",
        "name": view.name,
        "organisation": "everybody" if view.shared else organisation,
        "owner": task.owner,
        "floor": _level(task.floor),
        "candidates": len(task.candidates),
        "default": task.default,
        "mode": task.mode,
        "budget": _spending(task.budget),
        "data_class": task.data_class,
    }


def _facts(task: Task) -> list[tuple[str, str]]:
    """What is declared, in words; what is not is left out."""
    found = [
        ("Owner", task.owner),
        ("Serves", task.kpi),
        ("Initiative", task.initiative),
        ("Metric", task.metric),
        ("Judged by", _judge(task.judge)),
        ("Floor", _floor(task.floor)),
        *((f"Floor by {one.by}", f"{one.level:g} from {one.least} labels on") for one in task.slices),
        ("Chooses", {"default": "always the default", "route": "by evidence", "cascade": "by evidence, small first"}[task.mode]),
        ("Judged live", f"{task.sample:.2%} of the calls" if task.sample else ""),
        ("Explored", f"{task.explore:.2%} of the calls, up to {_dollars(task.explore_budget)} a month" if task.explore else ""),
        ("Certified again", _again(task.recertify)),
    ]
    return [(label, value) for label, value in found if value]


def _again(told: Recertify | None) -> str:
    return f"by itself after {told.labels:,} fresh labels, at most every {told.hours:g} hours" if told is not None else ""


def _limits(task: Task) -> list[tuple[str, str]]:
    """What holds without evidence, in words."""
    may = ", ".join(places_of(task.data_class, task.places, task.regions)) or "nowhere"
    found = [
        ("Data", task.data_class),
        ("May go to", may),
        ("Regions", ", ".join(task.regions)),
        ("Guard policy", task.guard),
        ("Budget", _spending(task.budget)),
        ("Latency objective", f"{task.latency_ms:g} ms for {task.latency_quantile:.4g} of the calls" if task.latency_ms else ""),
    ]
    return [(label, value) for label, value in found if value]


def _judge(judge: Judge | None) -> str:
    if judge is None:
        return ""
    more = judge.model or judge.outcome or judge.pattern or judge.detector or ""
    return f"{judge.kind.replace('_', ' ')}{f': {more}' if more else ''}"


def _floor(floor: Floor | None) -> str:
    if floor is None:
        return ""
    return f"{_level(floor)}, at {floor.confidence:.4g} confidence"


def _level(floor: Floor | None) -> str:
    if floor is None:
        return ""
    return f"{floor.level:.4g} of {floor.reference}" if floor.kind == "relative" else f"{floor.level:g}"


def _spending(budget: Spending | None) -> str:
    return f"{_dollars(budget.amount)} a {budget.period}" if budget is not None else ""


def _dollars(micros: int) -> str:
    return f"${micros / 1_000_000:,.2f}"
