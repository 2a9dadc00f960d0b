"""The JSON routes of the agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from penstock.agents.effects import Line
from penstock.agents.limits import Limits
from penstock.agents.occasions import KeptOccasions
from penstock.agents.service import AgentRun, Agents, AgentView
from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route


class AgentList(Struct, frozen=True, kw_only=True):
    """The agents that the key may start."""

    data: list[AgentView]


class EffectList(Struct, frozen=True, kw_only=True):
    """Effects, the oldest first."""

    data: list[Line]


class SettleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found out of a call in doubt: whether it happened (``done``) or not (``failed``), and how that is known."""

    key: Annotated[str, Meta(min_length=1, max_length=400)]
    state: Literal["done", "failed"]
    note: Annotated[str, Meta(min_length=1, max_length=4096)]


class StartBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent, or the workflow, is given: text, or what its ``input`` says. ``limits`` narrow its own; a second start with the same
    ``key`` gives the first run. ``person`` is who it works for, where the key stands for more than one. ``thread`` is the conversation that
    it goes on with; an unknown one begins."""

    input: Any
    limits: Limits = Limits()
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    person: Annotated[str, Meta(max_length=200)] = ""
    thread: Annotated[str, Meta(max_length=200)] = ""


class EventBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event of the key's organisation, for all its runs or for one. A second one with the same ``key`` is the first."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    data: Any = None
    run: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class EventView(Struct, frozen=True, kw_only=True):
    """An event that is kept. ``told`` is how many runs waited for it."""

    id: str
    told: int


def routes(agents: Agents, occasions: KeptOccasions) -> Sequence[Route]:
    """All routes of the agents."""

    async def listed(ask: Ask) -> AgentList:
        return AgentList(data=agents.list(ask.principal))

    async def start(ask: Ask) -> AgentRun:
        body = ask.body(StartBody)
        run = await agents.start(
            ask.principal, ask.path["name"], body.input, limits=body.limits, key=body.key, person=body.person, thread=body.thread
        )
        return await agents.get(ask.principal, run)

    async def show(ask: Ask) -> AgentRun:
        return await agents.get(ask.principal, ask.path["id"])

    async def send(ask: Ask) -> EventView:
        body = ask.body(EventBody)
        id, told = await occasions.send(ask.principal.organisation, body.name, body.data, run=body.run, key=body.key)
        return EventView(id=id, told=told)

    async def doubts(ask: Ask) -> EffectList:
        return EffectList(data=await agents.effects.in_doubt(ask.principal.reach))

    async def settle(ask: Ask) -> Line:
        body = ask.body(SettleBody)
        return await agents.effects.settle(ask.principal.reach, body.key, body.state, body.note, ask.principal.key_id)

    read, call = Scope.READ, Scope.CALL
    found = (
        Route(method="GET", path="/v1/agents", handler=listed, summary="List the agents.", scope=read, returns=AgentList),
        Route(
            method="POST",
            path="/v1/agents/{name}/runs",
            handler=start,
            summary="Start a run of an agent.",
            scope=call,
            body=StartBody,
            returns=AgentRun,
            status=201,
        ),
        Route(method="GET", path="/v1/agents/runs/{id}", handler=show, summary="Show a run of an agent.", scope=read, returns=AgentRun),
        Route(
            method="POST",
            path="/v1/events",
            handler=send,
            summary="Send an event to runs that wait for it.",
            scope=call,
            body=EventBody,
            returns=EventView,
            status=201,
        ),
        Route(
            method="GET",
            path="/v1/agents/effects/in-doubt",
            handler=doubts,
            summary="List effects that may or may not have happened.",
            scope=read,
            returns=EffectList,
        ),
        Route(
            method="POST",
            path="/v1/agents/effects/settle",
            handler=settle,
            summary="Say whether an effect in doubt happened.",
            scope=Scope.ADMIN,
            body=SettleBody,
            returns=Line,
        ),
    )
    return tuple(structs.replace(route, holding=JOURNAL) for route in found)
