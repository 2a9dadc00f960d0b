"""Schedules in the console: what is started when, what came of it last; pausing, resuming and ending it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.agents.scheduling.schedules import Schedules
from penstock.console import Console, toast
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PLACE = "/console/schedules"


def schedule_pages(ports: Ports, schedules: Schedules) -> Sequence[Page]:
    """The list, and the buttons on one. What they start an agent with is not shown: it may be a prompt."""

    def name(organisation: str) -> str:
        directory = ports.find(Directory)
        return directory.name(organisation) if directory is not None else organisation

    async def listed(request: Request, principal: Principal) -> Response:
        found = await schedules.list(principal)
        return ports.get(Console).page(
            request,
            "agents/schedules.html",
            title="Schedules",
            rows=found,
            tenants=principal.reach is None,
            name=name,
            may_change=principal.may(Scope.CALL),
        )

    async def cancel(request: Request, principal: Principal) -> Response:
        await schedules.cancel(principal, request.path_params["id"])
        return _back("Cancelled")

    async def pause(request: Request, principal: Principal) -> Response:
        await schedules.pause(principal, request.path_params["id"])
        return _back("Paused")

    async def resume(request: Request, principal: Principal) -> Response:
        skip = (await request.form()).get("skip") == "yes"
        one = await schedules.resume(principal, request.path_params["id"], skip=skip)
        return _back("Resumed" if one.state == "active" else "Resumed: no moment is left")

    return (
        Page(path=PLACE, handler=listed),
        Page(path=f"{PLACE}/{{id}}/cancel", handler=cancel, scope=Scope.CALL, methods=("POST",)),
        Page(path=f"{PLACE}/{{id}}/pause", handler=pause, scope=Scope.CALL, methods=("POST",)),
        Page(path=f"{PLACE}/{{id}}/resume", handler=resume, scope=Scope.CALL, methods=("POST",)),
    )


def _back(said: str) -> Response:
    from starlette.responses import RedirectResponse

    return toast(RedirectResponse(PLACE, 303), said)
