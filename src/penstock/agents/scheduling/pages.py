"""Schedules in the console: what is started when, what came of it last, and an end to it."""

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
    """The list, and the button that ends one. What they start an agent with is not shown: it may be a prompt."""

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
            may_cancel=principal.may(Scope.CALL),
        )

    async def cancel(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        await schedules.cancel(principal, request.path_params["id"])
        return toast(RedirectResponse(PLACE, 303), "Cancelled")

    return (
        Page(path=PLACE, handler=listed),
        Page(path=f"{PLACE}/{{id}}/cancel", handler=cancel, scope=Scope.CALL, methods=("POST",)),
    )
