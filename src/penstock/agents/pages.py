"""Agents in the console: who there is, starting one by a form, what runs of it did to the world and what of that is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.agents import forms
from penstock.agents.effects import Line
from penstock.agents.mcp.servers import Servers
from penstock.agents.running import Start
from penstock.agents.service import Agents
from penstock.console import Console, toast
from penstock.kernel.agents import AgentCard, AgentRuns
from penstock.kernel.errors import JournalUnavailable, MalformedRequest, NotFound, RequestError
from penstock.kernel.journal import JOURNAL, Journal, RunFilter, RunInfo
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

RECENT = 20
MOST_DOUBTS = 50


def pages(ports: Ports, agents: Agents, servers: Servers) -> Sequence[Page]:
    """The list, one agent, and the part about effects that stands on the page of a run."""

    def runs() -> AgentRuns:
        return ports.get(AgentRuns)

    async def listed(request: Request, principal: Principal) -> Response:
        doubts = await agents.effects.in_doubt(principal.reach, MOST_DOUBTS)
        return ports.get(Console).page(
            request,
            "agents/agents.html",
            title="Agents",
            rows=[{"card": card, "href": f"/console/agents/named/{card.name}"} for card in runs().cards(principal)],
            doubts=[one for one in doubts if one.state == "in_doubt"],
            may_settle=principal.may(Scope.ADMIN),
            has_servers=bool(servers.names) and principal.home and principal.may(Scope.ADMIN),
        )

    def found(principal: Principal, name: str) -> AgentCard:
        card = next((one for one in runs().cards(principal) if one.name == name), None)
        if card is None:
            raise NotFound(f"there is no agent {name[:100]!r}", param="name")
        return card

    async def shown(
        request: Request, principal: Principal, card: AgentCard, *, given: dict[str, str] | None = None, fault: RequestError | None = None
    ) -> Response:
        recent: Sequence[RunInfo] = ()
        trouble = ""
        try:
            recent = await ports.get(Journal).list(principal.reach, RunFilter(name=f"{card.kind}/{card.name}", limit=RECENT))
        except JournalUnavailable as unavailable:
            trouble = unavailable.message
        view = next((one for one in agents.list(principal) if one.name == card.name), None)
        answer = ports.get(Console).page(
            request,
            "agents/agent.html",
            title=card.name,
            crumbs=(("Agents", "/console/agents"),),
            card=card,
            view=view,
            limits={name: value for name, value in msgspec.to_builtins(view.limits).items() if value is not None} if view else {},
            fields=forms.fields(card.input),
            given=given or {},
            fault=fault,
            recent=[{"run": one, "href": f"/console/runs/{one.id}"} for one in recent],
            trouble=trouble,
            may_start=principal.may(Scope.CALL),
        )
        if fault is not None:
            answer.status_code = fault.status
        return answer

    async def one(request: Request, principal: Principal) -> Response:
        return await shown(request, principal, found(principal, request.path_params["name"]))

    async def start(request: Request, principal: Principal) -> Response:
        card = found(principal, request.path_params["name"])
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        try:
            run = await runs().begin(principal, card.name, forms.read(card.input, form))
        except RequestError as fault:
            return await shown(request, principal, card, given=form, fault=fault)
        return toast(_to(f"/console/runs/{run}"), "Started")

    async def effects(request: Request, principal: Principal) -> Response:
        of = request.path_params["id"]
        given = await ports.get(Journal).given(principal.reach, of)
        lines = await agents.effects.of_run(principal.reach, of)
        return ports.get(Console).part(
            "agents/effects.html",
            run=of,
            lines=lines,
            doubts=_in_doubt(lines),
            thread=_thread(given),
            may_settle=principal.may(Scope.ADMIN),
        )

    async def settle(request: Request, principal: Principal) -> Response:
        form: Any = await request.form()
        state, note = str(form.get("state", "")), str(form.get("note", "")).strip()
        if state not in ("done", "failed"):
            raise MalformedRequest("state: done, or failed for what did not happen", param="state")
        if not 0 < len(note) <= forms.MOST_NOTE:
            raise MalformedRequest(f"note: say how it is known, in at most {forms.MOST_NOTE} characters", param="note")
        line = await agents.effects.settle(principal.reach, str(form.get("key", "")), state, note, principal.key_id)
        return toast(_to(f"/console/runs/{line.run}"), "Settled")

    made = (
        Page(path="/console/agents", handler=listed),
        Page(path="/console/agents/effects/settle", handler=settle, scope=Scope.ADMIN, methods=("POST",)),
        Page(path="/console/agents/named/{name}", handler=one),
        Page(path="/console/agents/named/{name}/start", handler=start, scope=Scope.CALL, methods=("POST",)),
        Page(path="/console/agents/runs/{id}/effects", handler=effects),
    )
    return tuple(msgspec.structs.replace(page, holding=JOURNAL) for page in made)


def _thread(given: Any) -> str:
    """The conversation that a run goes on with; empty for none. What a run of somebody's own was given may be anything."""
    try:
        return msgspec.convert(given, Start).thread
    except msgspec.ValidationError:
        return ""


def _in_doubt(lines: Sequence[Line]) -> list[Line]:
    return [one for one in lines if one.state == "in_doubt"]


def _to(place: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(place, 303)
