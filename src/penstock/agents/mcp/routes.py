"""The JSON routes of MCP servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.agents.mcp.consents import Consents, ConsentView
from penstock.agents.mcp.servers import Servers, ServerTools, ServerView
from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route

Note = Annotated[str, Meta(max_length=4096)]
ToolName = Annotated[str, Meta(min_length=1, max_length=400)]
Digest = Annotated[str, Meta(min_length=64, max_length=64)]


class ServerList(Struct, frozen=True, kw_only=True):
    """The MCP servers of the settings."""

    data: list[ServerView]


class TrustBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tools that are trusted, each with the digest under which it was looked at; ``note`` says why."""

    tools: Annotated[dict[ToolName, Digest], Meta(min_length=1, max_length=500)]
    note: Note = ""


class DistrustBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tools that are trusted no more; ``note`` says why."""

    tools: Annotated[list[ToolName], Meta(min_length=1, max_length=500)]
    note: Note = ""


def mcp_routes(servers: Servers, consents: Consents) -> Sequence[Route]:
    """List the servers, look at one, trust its tools and trust them no more; see one's own consent, and take it back."""

    async def listed(ask: Ask) -> ServerList:
        await servers.fresh()
        return ServerList(data=servers.list(ask.principal))

    async def look(ask: Ask) -> ServerTools:
        return await servers.look(ask.principal, ask.path["name"])

    async def trust(ask: Ask) -> ServerTools:
        body = ask.body(TrustBody)
        await servers.trust(ask.principal, ask.path["name"], body.tools, body.note)
        return await servers.look(ask.principal, ask.path["name"])

    async def distrust(ask: Ask) -> ServerView:
        body = ask.body(DistrustBody)
        return await servers.distrust(ask.principal, ask.path["name"], body.tools, body.note)

    async def consented(ask: Ask) -> ConsentView:
        return await consents.view(ask.principal, ask.path["name"])

    async def revoke(ask: Ask) -> ConsentView:
        return await consents.revoke(ask.principal, ask.path["name"])

    one = "/v1/agents/mcp/{name}"
    # Who works on the journal has the connections that runs use.
    terms: dict[str, Any] = {"scope": Scope.ADMIN, "returns": ServerTools, "holding": JOURNAL}
    return (
        Route(method="GET", path="/v1/agents/mcp", handler=listed, summary="List MCP servers.", scope=Scope.ADMIN, returns=ServerList),
        Route(method="GET", path=one, handler=look, summary="Show the tools of an MCP server, as trusted and as they are.", **terms),
        Route(
            method="POST",
            path=f"{one}/trust",
            handler=trust,
            summary="Trust tools of an MCP server.",
            body=TrustBody,
            failures={"502": "The MCP server cannot be asked."},
            **terms,
        ),
        Route(
            method="POST",
            path=f"{one}/distrust",
            handler=distrust,
            summary="Trust tools of an MCP server no more.",
            scope=Scope.ADMIN,
            body=DistrustBody,
            returns=ServerView,
        ),
        Route(
            method="GET",
            path=f"{one}/consent",
            handler=consented,
            summary="Show whether you consented to an MCP server, and where you do.",
            scope=Scope.READ,
            returns=ConsentView,
        ),
        Route(
            method="DELETE",
            path=f"{one}/consent",
            handler=revoke,
            summary="Take your consent to an MCP server back.",
            scope=Scope.CALL,
            returns=ConsentView,
        ),
    )
