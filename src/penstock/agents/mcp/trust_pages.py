"""MCP servers in the console: what their tools said when somebody trusted them, what they say now, and deciding anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.agents import forms
from penstock.agents.mcp.servers import Servers, ToolStanding, Words
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest, PenstockError
from penstock.kernel.journal import JOURNAL
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PLACE = "/console/agents/mcp"
TOOLS = f"{PLACE}/{{name}}/tools"
_TONES = {"trusted": "ok", "changed": "bad", "new": "info", "gone": "neutral", "distrusted": "warn", "unknown": "neutral"}


def trust_pages(ports: Ports, servers: Servers) -> Sequence[Page]:
    """The list, and one server's tools with a form that trusts them as they stand on the page, or trusts them no more."""

    async def listed(request: Request, principal: Principal) -> Response:
        await servers.fresh()
        return ports.get(Console).page(
            request, "agents/mcp.html", title="MCP servers", crumbs=(("Agents", "/console/agents"),), rows=servers.list(principal)
        )

    async def shown(request: Request, principal: Principal, fault: PenstockError | None = None) -> Response:
        name = request.path_params["name"]
        found = await servers.look(principal, name)
        answer = ports.get(Console).page(
            request,
            "agents/mcp_tools.html",
            title=name,
            crumbs=(("Agents", "/console/agents"), ("MCP servers", PLACE)),
            server=found.server,
            tools=[_row(one, ports.find(Directory)) for one in found.tools],
            lost=found.fault,
            fault=fault,
        )
        if fault is not None:
            answer.status_code = fault.status
        return answer

    async def decide(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        name, form = request.path_params["name"], await request.form()
        ticked = [str(one) for one in form.getlist("tool")]
        try:
            if not ticked:
                raise MalformedRequest("tick the tools that are meant", param="tool")
            note = forms.note(form.get("note"))
            # The digest under which it stood on the page, then its name; none where the server does not offer it now.
            seen = {tool: digest for digest, _, tool in (one.partition(" ") for one in ticked)}
            if form.get("what") == "trust":
                await servers.trust(principal, name, seen, note)
                said = "Trusted"
            else:
                await servers.distrust(principal, name, list(seen), note)
                said = "Trusted no more"
        except PenstockError as fault:
            return await shown(request, principal, fault)
        return toast(RedirectResponse(TOOLS.format(name=name), 303), said)

    made = (
        Page(path=PLACE, handler=listed, scope=Scope.ADMIN),
        Page(path=TOOLS, handler=shown, scope=Scope.ADMIN),
        Page(path=TOOLS, handler=decide, scope=Scope.ADMIN, methods=("POST",)),
    )
    # Who works on the journal has the connections that runs use.
    return tuple(msgspec.structs.replace(page, holding=JOURNAL) for page in made)


def _row(one: ToolStanding, directory: Directory | None) -> dict[str, Any]:
    told = one.current or one.pinned
    assert told is not None, "a tool is either offered or was decided of"
    by = one.person or (directory.name(one.by) if directory is not None and one.by else one.by)
    word = "Distrusted" if one.state == "distrusted" else "Trusted"
    return {
        "one": one,
        "tone": _TONES[one.state],
        "value": f"{one.current.digest if one.current is not None else ''} {one.name}",
        "decided": "Nobody has decided of it yet" if one.pinned is None else f"{word} by {by}",
        "told": _told(told),
        "before": _told(one.pinned) if one.state == "changed" and one.pinned is not None else None,
    }


def _told(words: Words) -> dict[str, str]:
    # Whether it destroys says nothing of what only reads (the protocol's own words, and it is the default).
    destroys = words.destructive and not words.read_only
    claims = (("only reads", words.read_only), ("may destroy", destroys), ("may be called again", words.idempotent))
    return {
        "description": words.description,
        "schema": json.dumps(words.schema, indent=2, ensure_ascii=False),
        "claims": ", ".join(name for name, is_so in claims if is_so),
    }
