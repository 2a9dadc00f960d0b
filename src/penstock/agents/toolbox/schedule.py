"""Tools with which an agent has itself, or another, started later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.agents.faults import Permanent
from penstock.agents.scheduling.schedules import AT_HAND, GOING, HELD, MOST, Schedule, Schedules
from penstock.agents.scheduling.times import known_zone
from penstock.agents.tools import Tool, ToolContext
from penstock.kernel.errors import PenstockError
from penstock.kernel.principal import Principal


class Scheduled(Struct, frozen=True):
    """A schedule as a model is told of it. ``passed`` moments went by while it was paused; ``fault`` is why it was stopped."""

    id: str
    agent: str
    cron: str
    next: str
    state: str
    passed: int = 0
    fault: str = ""


def schedule(agents: Sequence[str], *, zone: str = "UTC", name: str = "schedule") -> list[Tool[..., Any]]:
    """Tools that start some agents later: ``NAME_start``, ``NAME_list``, ``NAME_pause``, ``NAME_resume`` and ``NAME_cancel``.

    The runs are paid by the key that started the run which asks for them, work for the same person, and carry its labels and those of what
    it had read by then. ``agents`` are names, for the agent that is given the tool may be one of them; ``zone`` is the one in which models
    say their moments. What was scheduled for another person, or in another organisation, is neither listed nor changed.
    """
    known_zone(zone)

    async def start(
        agent: str,
        task: Annotated[str, Meta(min_length=1, max_length=20_000, description="What it is asked, with all that it needs.")],
        context: ToolContext,
        at: Annotated[str, Meta(max_length=40, description="A moment, such as 2026-03-01T09:00; empty where there is a cron line.")] = "",
        cron: Annotated[str, Meta(max_length=200, description="Five fields, such as 0 9 * * 1-5, for again and again.")] = "",
    ) -> Scheduled:
        if agent not in agents:
            raise Permanent(f"schedule_forbidden: {', '.join(agents)} may be started later, not {agent[:100]}")
        schedules, principal = _here(context)
        moment = _moment(at, zone) if at else None
        terms: dict[str, Any] = {"at": moment, "cron": cron, "zone": zone, "person": context.person, "key": context.key}
        terms["asker"] = await schedules.asker(context.run, context.labels)
        return _told(await schedules.create(principal, agent, task, **terms))

    async def listed(context: ToolContext) -> list[Scheduled]:
        schedules, principal = _here(context)
        found = await schedules.of(principal, agents, context.person or principal.person or "")
        return [_told(one) for one in found if one.state in (*GOING, *HELD)]

    async def mine(id: str, context: ToolContext) -> tuple[Schedules, Principal, Schedule]:
        schedules, principal = _here(context)
        found = await schedules.of(principal, agents, context.person or principal.person or "", MOST)
        one = next((one for one in found if one.id == id), None)
        if one is None:
            raise Permanent(f"schedule_forbidden: there is no schedule {id[:100]} of {', '.join(agents)} for whom this run works")
        return schedules, principal, one

    # What is so already was done by the same call, before its process died, or by somebody else.

    async def pause(id: str, context: ToolContext) -> Scheduled:
        schedules, principal, _ = await mine(id, context)
        return _told(await schedules.pause(principal, id))

    async def resume(
        id: str,
        context: ToolContext,
        skip: Annotated[bool, Meta(description="Whether what went by while it was paused is left out; else it is made up for.")] = False,
    ) -> Scheduled:
        schedules, principal, one = await mine(id, context)
        return _told(one if one.state == "active" else await schedules.resume(principal, id, skip=skip))

    async def cancel(id: str, context: ToolContext) -> Scheduled:
        schedules, principal, one = await mine(id, context)
        return _told(one if one.state == "cancelled" else await schedules.cancel(principal, id))

    told = f"Have one of {', '.join(agents)} started later. Times are those of {zone}."
    return [
        Tool(start, effect="write", name=f"{name}_start", description=told, honours_key=True),
        Tool(listed, effect="read", name=f"{name}_list", description="List what will be started later."),
        Tool(pause, effect="write", name=f"{name}_pause", description="Have it started no more until it is resumed.", honours_key=True),
        Tool(resume, effect="write", name=f"{name}_resume", description="Go on with what was paused or stopped.", honours_key=True),
        Tool(cancel, effect="write", name=f"{name}_cancel", description="Have it started no more.", honours_key=True),
    ]


def _here(context: ToolContext) -> tuple[Schedules, Principal]:
    found = AT_HAND.get(asyncio.get_running_loop())
    if found is None or not context.payer:
        raise Permanent("schedule_unavailable: schedules are kept by a running Penstock, for runs that a key pays")
    try:
        return found, found.payer(context.payer)
    except PenstockError as fault:
        raise Permanent(f"schedule_unavailable: {fault.message}") from fault


def _moment(text: str, zone: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Permanent(f"schedule_refused: {text[:100]!r} is no moment; one is 2026-03-01T09:00") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=known_zone(zone))).timestamp()


def _told(one: Schedule) -> Scheduled:
    moment = "" if one.next_at is None else datetime.fromtimestamp(one.next_at, known_zone(one.zone)).isoformat()
    return Scheduled(one.id, one.agent, one.cron, moment, one.state, one.passed, one.fault)
