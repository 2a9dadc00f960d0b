"""Conversations in the console: the list, and one as it was spoken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from penstock.console import Console
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal
from penstock.kernel.web import Page
from penstock.observability.traces.pages import HOURS, api_address, asked, names
from penstock.observability.traces.service import Traces
from penstock.observability.traces.threads import Conversations

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50


def thread_pages(ports: Ports, traces: Traces, conversations: Conversations) -> Sequence[Page]:
    """The list of conversations, and one."""

    async def threads(request: Request, principal: Principal) -> Response:
        given = {name: value for name, value in request.query_params.items() if value}
        query, _ = asked({"hours": "168", **given} if "since" not in given and "until" not in given else given)
        query = msgspec.structs.replace(query, roots=False)
        rows: list[dict[str, Any]] = []
        older = ""
        if traces.on:
            found = await conversations.list(principal, query, given.get("cursor", ""), PER_PAGE)
            rows = [{"thread": one, "href": address(one.session, one.organisation), "last": one.last_ns / 1e9} for one in found.data]
            kept = {name: value for name, value in given.items() if name != "cursor"}
            older = f"/console/threads?{urlencode({**kept, 'cursor': found.next_cursor})}" if found.next_cursor else ""
        return ports.get(Console).page(
            request,
            "observability/traces/threads.html",
            title="Conversations",
            on=traces.on,
            given=given,
            rows=rows,
            older=older,
            hours=tuple(HOURS.items()),
            chosen_hours=given.get("hours", "168"),
            api=api_address(query).replace("/v1/traces", "/v1/threads", 1),
            tenants=principal.reach is None,
            name=names(ports),
        )

    async def thread(request: Request, principal: Principal) -> Response:
        session = request.path_params["session"]
        organisation = request.query_params.get("organisation", "")
        found = await conversations.one(principal, session, organisation, request.query_params.get("cursor", ""), "console")
        here = address(session, organisation)
        sign = "&" if "?" in here else "?"
        return ports.get(Console).page(
            request,
            "observability/traces/thread.html",
            title=session,
            crumbs=(("Conversations", "/console/threads"),),
            found=found,
            name=names(ports),
            older=f"{here}{sign}cursor={found.next_cursor}" if found.next_cursor else "",
            newer=here if request.query_params.get("cursor") else "",
            api=here.replace("/console/", "/v1/", 1),
        )

    return (
        Page(path="/console/threads", handler=threads),
        Page(path="/console/threads/{session:path}", handler=thread),
    )


def address(session: str, organisation: str) -> str:
    """Where a conversation's page is."""
    query = f"?{urlencode({'organisation': organisation})}" if organisation else ""
    return f"/console/threads/{quote(session, safe='')}{query}"
