"""The JSON routes of the journal: runs as they stand, their history, and what can be done to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from penstock.kernel.journal import JOURNAL, Journal, QueueDepth, RunFilter, RunInfo, StepInfo
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class RunQuery(RunFilter, frozen=True, kw_only=True):
    """A filter and a page size."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class RunPage(Struct, frozen=True, kw_only=True):
    """Runs, newest first; ``next`` goes into ``before`` for the page after this one, None when this is the last."""

    data: list[RunInfo]
    next: str | None


class RunDetail(Struct, frozen=True, kw_only=True):
    """A run and its completed steps in order."""

    run: RunInfo
    steps: list[StepInfo]


class Queues(Struct, frozen=True, kw_only=True):
    """The queues that hold or run something."""

    data: list[QueueDepth]


class SignalBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value for whatever in the run waits under ``topic``; with a ``key`` it is handed over once, however often it is sent."""

    topic: Name
    value: Any = None
    key: Name | None = None


class ForkBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``step``: the number of the first step that the new run does itself."""

    step: Annotated[int, Meta(ge=1, le=2**31 - 1)]


def routes(journal: Journal) -> Sequence[Route]:
    """All routes of the journal."""

    async def list_runs(ask: Ask) -> RunPage:
        query = ask.query(RunQuery)
        found = list(await journal.list(ask.principal.reach, query))
        return RunPage(data=found, next=found[-1].id if len(found) == query.limit else None)

    async def get_run(ask: Ask) -> RunDetail:
        reach, id = ask.principal.reach, ask.path["id"]
        return RunDetail(run=await journal.get(reach, id), steps=list(await journal.history(reach, id)))

    async def list_queues(ask: Ask) -> Queues:
        return Queues(data=list(await journal.depths(ask.principal.reach)))

    async def signal(ask: Ask) -> RunInfo:
        body = ask.body(SignalBody)
        await journal.signal(ask.principal.reach, ask.path["id"], body.topic, body.value, key=body.key)
        return await journal.get(ask.principal.reach, ask.path["id"])

    async def cancel(ask: Ask) -> RunInfo:
        await journal.cancel(ask.principal.reach, ask.path["id"])
        return await journal.get(ask.principal.reach, ask.path["id"])

    async def pause(ask: Ask) -> RunInfo:
        await journal.pause(ask.principal.reach, ask.path["id"])
        return await journal.get(ask.principal.reach, ask.path["id"])

    async def resume(ask: Ask) -> RunInfo:
        await journal.resume(ask.principal.reach, ask.path["id"])
        return await journal.get(ask.principal.reach, ask.path["id"])

    async def fork(ask: Ask) -> RunInfo:
        made = await journal.fork(ask.principal.reach, ask.path["id"], ask.body(ForkBody).step)
        return await journal.get(ask.principal.reach, made)

    read, admin = Scope.READ, Scope.ADMIN
    one = "/v1/runs/{id}"
    routes = (
        Route(method="GET", path="/v1/runs", handler=list_runs, summary="List runs.", scope=read, query=RunQuery, returns=RunPage),
        Route(method="GET", path=one, handler=get_run, summary="Show a run with its history.", scope=read, returns=RunDetail),
        Route(method="GET", path="/v1/queues", handler=list_queues, summary="Show what waits and runs.", scope=read, returns=Queues),
        Route(method="POST", path=f"{one}/signal", handler=signal, summary="Signal a run.", scope=admin, body=SignalBody, returns=RunInfo),
        Route(method="POST", path=f"{one}/cancel", handler=cancel, summary="Cancel a run.", scope=admin, returns=RunInfo),
        Route(method="POST", path=f"{one}/pause", handler=pause, summary="Pause a run.", scope=admin, returns=RunInfo),
        Route(method="POST", path=f"{one}/resume", handler=resume, summary="Resume a run.", scope=admin, returns=RunInfo),
        Route(
            method="POST",
            path=f"{one}/fork",
            handler=fork,
            summary="Start a run from a step of another.",
            scope=admin,
            body=ForkBody,
            returns=RunInfo,
            status=201,
        ),
    )
    return tuple(structs.replace(route, holding=JOURNAL) for route in routes)
