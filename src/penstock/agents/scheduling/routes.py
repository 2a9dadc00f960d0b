"""The JSON routes of schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.agents.scheduling.schedules import Schedule, Schedules
from penstock.agents.scheduling.times import Missed
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route


class ScheduleList(Struct, frozen=True, kw_only=True):
    """Schedules: what comes next first, then what is over."""

    data: list[Schedule]


class ScheduleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is started, and when: once ``at`` a moment (Unix seconds), or at each that a ``cron`` line names in ``zone``. After a pause,
    ``missed`` moments are started once, all, or skipped. A second one with the same ``key`` is the first."""

    agent: Annotated[str, Meta(min_length=1, max_length=100)]
    input: Any
    at: Annotated[float, Meta(ge=0, le=253_402_300_799)] | None = None
    cron: Annotated[str, Meta(max_length=200)] = ""
    zone: Annotated[str, Meta(max_length=100)] = "UTC"
    missed: Missed = "once"
    person: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class ResumeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the moments that have passed: what the schedule's ``missed`` says, or with ``skip`` nothing."""

    skip: bool = False


def schedule_routes(schedules: Schedules) -> Sequence[Route]:
    """All routes of schedules."""

    async def listed(ask: Ask) -> ScheduleList:
        return ScheduleList(data=await schedules.list(ask.principal))

    async def create(ask: Ask) -> Schedule:
        body = ask.body(ScheduleBody)
        return await schedules.create(
            ask.principal,
            body.agent,
            body.input,
            at=body.at,
            cron=body.cron,
            zone=body.zone,
            missed=body.missed,
            person=body.person,
            key=body.key,
        )

    async def cancel(ask: Ask) -> Schedule:
        return await schedules.cancel(ask.principal, ask.path["id"])

    async def pause(ask: Ask) -> Schedule:
        return await schedules.pause(ask.principal, ask.path["id"])

    async def resume(ask: Ask) -> Schedule:
        return await schedules.resume(ask.principal, ask.path["id"], skip=ask.body(ResumeBody).skip)

    return (
        Route(method="GET", path="/v1/schedules", handler=listed, summary="List schedules.", scope=Scope.READ, returns=ScheduleList),
        Route(
            method="POST",
            path="/v1/schedules",
            handler=create,
            summary="Start an agent or a workflow later, or again and again.",
            scope=Scope.CALL,
            body=ScheduleBody,
            returns=Schedule,
            status=201,
        ),
        Route(
            method="POST",
            path="/v1/schedules/{id}/cancel",
            handler=cancel,
            summary="Start it no more.",
            scope=Scope.CALL,
            returns=Schedule,
        ),
        Route(
            method="POST",
            path="/v1/schedules/{id}/pause",
            handler=pause,
            summary="Start it no more until it is resumed.",
            scope=Scope.CALL,
            returns=Schedule,
        ),
        Route(
            method="POST",
            path="/v1/schedules/{id}/resume",
            handler=resume,
            summary="Go on with a schedule that was paused or stopped.",
            scope=Scope.CALL,
            body=ResumeBody,
            returns=Schedule,
        ),
    )
