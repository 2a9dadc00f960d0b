"""The console's page where a person consents to an MCP server, and the way back from there."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from penstock.agents.mcp.consents import CALLBACK, Consents, place
from penstock.console import Console, toast
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PLACE = "/console/agents/mcp/{name}"
FINISH = "/console/agents/mcp/finish"
LONGEST = 4096


def consent_pages(ports: Ports, consents: Consents, public_url: str) -> Sequence[Page]:
    """What somebody consented to, the way to the authorization server, and the two steps back: a browser that comes from another site does
    not say who is signed in, so it is sent on from a page of ours, and only whoever began may end it."""

    async def shown(request: Request, principal: Principal) -> Response:
        view = await consents.view(principal, request.path_params["name"])
        return ports.get(Console).page(
            request,
            "agents/consent.html",
            title=view.server,
            crumbs=(("Agents", "/console/agents"),),
            view=view,
            may=principal.may(Scope.CALL),
        )

    async def begin(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        url = await consents.begin(principal, request.path_params["name"], public_url or str(request.base_url))
        return RedirectResponse(url, 303)

    async def callback(request: Request, principal: Principal) -> Response:
        from starlette.responses import HTMLResponse

        given = {name: request.query_params.get(name, "")[:LONGEST] for name in ("state", "code", "iss", "error")}
        onward = escape(f"{FINISH}?{urlencode({name: value for name, value in given.items() if value})}")
        head = f'<title>Penstock</title><meta http-equiv="refresh" content="0;url={onward}">'
        return HTMLResponse(f'<!doctype html><html lang="en"><head>{head}</head><body><a href="{onward}">Go on</a></body></html>')

    async def finish(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        asked = request.query_params
        name = await consents.finish(
            principal,
            asked.get("state", "")[:LONGEST],
            asked.get("code", "")[:LONGEST],
            asked.get("iss", "")[:LONGEST] or None,
            asked.get("error", "")[:100],
        )
        return RedirectResponse(place(name), 303)

    async def revoke(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        name = request.path_params["name"]
        await consents.revoke(principal, name)
        return toast(RedirectResponse(place(name), 303), "Taken back")

    return (
        Page(path=f"{PLACE}/consent", handler=shown),
        # A form of ours may not be answered from elsewhere, so this is a link; all that it leaves is a line that is forgotten.
        Page(path=f"{PLACE}/begin", handler=begin, scope=Scope.CALL),
        Page(path=CALLBACK, handler=callback, scope=None),
        Page(path=FINISH, handler=finish, scope=Scope.CALL),
        Page(path=f"{PLACE}/revoke", handler=revoke, scope=Scope.CALL, methods=("POST",)),
    )
