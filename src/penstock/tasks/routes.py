"""The JSON routes of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.capability import Finding
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Nothing, Route
from penstock.tasks.candidates import CandidateView, candidates_of
from penstock.tasks.declaration import Declaration
from penstock.tasks.model import Entry, TaskView
from penstock.tasks.readiness import Readiness
from penstock.tasks.service import TaskService


class TaskList(Struct, frozen=True, kw_only=True):
    """Every task that the asker may call for, by name."""

    data: list[TaskView]


class NewTask(Declaration, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task and its name, by which it is called: ``model="task:NAME"``."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]


class WhoseQuery(Struct, frozen=True, kw_only=True):
    """Whose task is meant, where two organisations have one of this name: the asker's own organisation's when left out."""

    organisation: str | None = None


class DigestQuery(Struct, frozen=True, kw_only=True):
    """The digest of the task as the asker knows it; a change that somebody else made meanwhile is not overwritten."""

    digest: str


class CandidateList(Struct, frozen=True, kw_only=True):
    """A task's candidates, in the order of the task."""

    data: list[CandidateView]


class Checked(Struct, frozen=True, kw_only=True):
    """What is missing before the task can be routed with proof: ``ready`` when nothing of it is a ``fail``."""

    task: str
    ready: bool
    findings: list[Finding]


class TrailQuery(Struct, frozen=True, kw_only=True):
    """Lines of the audit trail: of one task or of all, from behind the line ``after``."""

    task: str | None = None
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Trail(Struct, frozen=True, kw_only=True):
    """Lines of the audit trail, oldest first. ``broken_at`` is the first line that does not follow from the one before it, of all of the
    asker's organisation; None when nothing was changed or taken out."""

    data: list[Entry]
    broken_at: int | None = None


def routes(service: TaskService, readiness: Readiness, ports: Ports) -> Sequence[Route]:
    """All routes of the tasks."""

    async def listed(ask: Ask) -> TaskList:
        return TaskList(data=service.list(ask.principal))

    async def create(ask: Ask) -> TaskView:
        new = ask.body(NewTask)
        told = Declaration(**{field: getattr(new, field) for field in Declaration.__struct_fields__})
        return await service.create(ask.principal, new.name, told)

    async def show(ask: Ask) -> TaskView:
        return service.get(ask.principal, ask.path["name"], ask.query(WhoseQuery).organisation)

    async def replace(ask: Ask) -> TaskView:
        return await service.replace(ask.principal, ask.path["name"], ask.body(Declaration), ask.query(DigestQuery).digest)

    async def delete(ask: Ask) -> None:
        await service.delete(ask.principal, ask.path["name"], ask.query(DigestQuery).digest)

    async def candidates(ask: Ask) -> CandidateList:
        task = service.task(ask.principal, ask.path["name"], ask.query(WhoseQuery).organisation)
        return CandidateList(data=candidates_of(task, ports))

    async def check(ask: Ask) -> Checked:
        task = service.task(ask.principal, ask.path["name"], ask.query(WhoseQuery).organisation)
        findings = await readiness.findings(task)
        return Checked(task=task.name, ready=all(one.status != "fail" for one in findings), findings=findings)

    async def trail(ask: Ask) -> Trail:
        query = ask.query(TrailQuery)
        lines = await service.trail(ask.principal, query.task, query.after, query.limit)
        return Trail(data=lines, broken_at=await service.first_broken(ask.principal))

    read, admin, base = Scope.READ, Scope.ADMIN, "/v1/tasks"
    one = f"{base}/{{name}}"
    return (
        Route(method="GET", path=base, handler=listed, summary="List tasks.", scope=read, returns=TaskList),
        Route(method="POST", path=base, handler=create, summary="Declare a task.", scope=admin, body=NewTask, returns=TaskView, status=201),
        Route(
            method="GET",
            path="/v1/tasks-audit",
            handler=trail,
            summary="Read the audit trail of tasks.",
            scope=read,
            query=TrailQuery,
            returns=Trail,
        ),
        Route(method="GET", path=one, handler=show, summary="Show a task.", scope=read, query=WhoseQuery, returns=TaskView),
        Route(
            method="PUT",
            path=one,
            handler=replace,
            summary="Declare a task anew.",
            scope=admin,
            query=DigestQuery,
            body=Declaration,
            returns=TaskView,
        ),
        Route(
            method="DELETE", path=one, handler=delete, summary="Delete a task.", scope=admin, query=DigestQuery, returns=Nothing, status=204
        ),
        Route(
            method="GET",
            path=f"{one}/candidates",
            handler=candidates,
            summary="Say which candidates of a task may serve, where they stand and what they cost.",
            scope=read,
            query=WhoseQuery,
            returns=CandidateList,
        ),
        Route(
            method="GET",
            path=f"{one}/check",
            handler=check,
            summary="Say what a task lacks before it can be routed with proof.",
            scope=read,
            query=WhoseQuery,
            returns=Checked,
        ),
    )
