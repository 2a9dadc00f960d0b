"""The JSON routes of the journal: runs as they stand, their history, and what can be done to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from penstock.journal.returned import returned
from penstock.journal.waiting import Waits, Wanted
from penstock.kernel.agents import REQUEST
from penstock.kernel.errors import RequestError
from penstock.kernel.journal import JOURNAL, Journal, QueueDepth, RunFilter, RunInfo, StepInfo
from penstock.kernel.opening import Opening, closed
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class RunQuery(RunFilter, frozen=True, kw_only=True):
    """A filter and a page size. ``waiting`` leaves only runs that wait just now: for ``people``, an ``event``, another ``signal``, a
    ``time``, or ``any`` of them."""

    waiting: Wanted | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class RunPage(Struct, frozen=True, kw_only=True):
    """Runs, newest first; ``next`` goes into ``before`` for the page after this one, None when this is the last."""

    data: list[RunInfo]
    next: str | None


class RunDetail(Struct, frozen=True, kw_only=True):
    """A run and its completed steps in order; ``input`` is what it was started with, ``output`` what it returned.

    They hold prompts and replies. A key that may not see those has null for what was given and what steps gave; ``contents`` says which.
    """

    run: RunInfo
    steps: list[StepInfo]
    contents: bool
    input: Any = None
    output: Any = None


class StepQuery(Struct, frozen=True, kw_only=True):
    """Which steps of a run: those numbered above ``after``."""

    after: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class StepPage(Struct, frozen=True, kw_only=True):
    """Completed steps by their numbers; ``next`` goes into ``after`` for the page after this one, None when this is the last.

    A key that may not see prompts and replies has null for what they gave."""

    data: list[StepInfo]
    next: int | None


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


def routes(journal: Journal, opening: Opening, waits: Waits) -> Sequence[Route]:
    """All routes of the journal."""

    async def list_runs(ask: Ask) -> RunPage:
        query = ask.query(RunQuery)
        found = list(await waits.list(ask.principal.reach, query, query.waiting))
        return RunPage(data=found, next=found[-1].id if len(found) == query.limit else None)

    async def get_run(ask: Ask) -> RunDetail:
        reach, id = ask.principal.reach, ask.path["id"]
        (run,), steps = await waits.of([await journal.get(reach, id)]), await journal.history(reach, id)
        if not opening.may(ask.principal):
            return RunDetail(run=run, steps=[closed(step) for step in steps], contents=False)
        await opening.opened_run(ask.principal, run, "api")
        given, gave = await journal.given(reach, id), await returned(journal, reach, run)
        return RunDetail(run=run, steps=list(steps), contents=True, input=given, output=gave)

    async def list_steps(ask: Ask) -> StepPage:
        query = ask.query(StepQuery)
        reach, id = ask.principal.reach, ask.path["id"]
        run = await journal.get(reach, id)
        found = await journal.history(reach, id, after=query.after, limit=query.limit + 1)
        page = list(found[: query.limit])
        if opening.may(ask.principal):
            await opening.opened_run(ask.principal, run, "api")
        else:
            page = [closed(step) for step in page]
        return StepPage(data=page, next=page[-1].number if len(found) > query.limit else None)

    async def list_queues(ask: Ask) -> Queues:
        return Queues(data=list(await journal.depths(ask.principal.reach)))

    async def signal(ask: Ask) -> RunInfo:
        body = ask.body(SignalBody)
        if body.topic.startswith(REQUEST):
            raise RequestError("topic: requests to people are answered in the inbox, by those who may", param="topic")
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
        made = await journal.fork(ask.principal.reach, ask.path["id"], ask.body(ForkBody).step, by=ask.principal.ids)
        return await journal.get(ask.principal.reach, made)

    async def replay(ask: Ask) -> RunInfo:
        made = await journal.fork(ask.principal.reach, ask.path["id"], 1, by=ask.principal.ids)
        return await journal.get(ask.principal.reach, made)

    read, admin = Scope.READ, Scope.ADMIN
    one = "/v1/runs/{id}"
    routes = (
        Route(method="GET", path="/v1/runs", handler=list_runs, summary="List runs.", scope=read, query=RunQuery, returns=RunPage),
        Route(method="GET", path=one, handler=get_run, summary="Show a run with its history.", scope=read, returns=RunDetail),
        Route(
            method="GET",
            path=f"{one}/steps",
            handler=list_steps,
            summary="List what a run has journalled.",
            scope=read,
            query=StepQuery,
            returns=StepPage,
        ),
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
        Route(
            method="POST",
            path=f"{one}/replay",
            handler=replay,
            summary="Start a run again from its beginning, as a new one with the same input.",
            scope=admin,
            returns=RunInfo,
            status=201,
        ),
    )
    return tuple(structs.replace(route, holding=JOURNAL) for route in routes)
