"""Threads in the console: which there are, what was said in one, and what is remembered of who talks there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import msgspec

from penstock.agents.memory import access
from penstock.agents.memory.routes import MessageQuery, ThreadQuery
from penstock.agents.memory.service import Memories
from penstock.agents.memory.threads import Threads
from penstock.agents.recollection import Memory, Owner, Thread
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = "/console/agents/threads"
PER_PAGE = 50
MESSAGES = 100
MEMORIES = 50


def pages(ports: Ports, threads: Threads, memories: Memories) -> Sequence[Page]:
    """The list, one thread, and the buttons on it."""

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None and id else id

    async def listing(request: Request, principal: Principal) -> Response:
        given = {k: v for k, v in request.query_params.items() if v and k in ("agent", "person", "before")}
        try:
            query = msgspec.convert(given, ThreadQuery, strict=False)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"filter: {fault}") from fault
        person = access.person_of(principal) or query.person or None
        found = await threads.list(principal.organisation, person=person, agent=query.agent or None, before=query.before, most=PER_PAGE + 1)
        shown = found[:PER_PAGE]
        kept = {k: v for k, v in given.items() if k != "before"}
        older = f"{PAGE}?{urlencode({**kept, 'before': shown[-1].updated_at})}" if len(found) > PER_PAGE else ""
        return ports.get(Console).page(
            request,
            "agents/threads.html",
            title="Threads",
            rows=[{"thread": one, "href": _href(one), "person": name(one.person)} for one in shown],
            given=kept,
            confined=access.confined(principal),
            newest=f"{PAGE}?{urlencode(kept)}" if "before" in given else "",
            older=older,
        )

    async def show(request: Request, principal: Principal) -> Response:
        thread = await threads.get(principal.organisation, request.path_params["id"], access.person_of(principal))
        try:
            query = msgspec.convert({k: v for k, v in request.query_params.items() if k == "before" and v}, MessageQuery, strict=False)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"filter: {fault}") from fault
        asked = request.query_params.get("q", "")[:2000]
        messages = await threads.messages(thread, query.before, MESSAGES)
        return ports.get(Console).page(
            request,
            "agents/thread.html",
            title=thread.title or thread.id,
            crumbs=(("Threads", PAGE),),
            thread=thread,
            person=name(thread.person),
            messages=messages,
            runs=len({one.run for one in messages}),
            memories=await _memories(principal, thread, asked),
            asked=asked,
            href=_href(thread),
            older=f"{_href(thread)}?before={messages[0].number}" if messages and messages[0].number > 1 else "",
            newest=_href(thread) if query.before is not None else "",
            may_change=principal.may(Scope.CALL),
        )

    async def _memories(principal: Principal, thread: Thread, asked: str) -> list[Memory]:
        among = [Owner("agent", thread.agent), *([Owner("person", thread.person)] if thread.person else [])]
        may = access.owners(principal)
        seen = among if may is None else [one for one in among if one in may]
        if asked.strip():
            return await memories.recall(principal.organisation, seen, asked, most=MEMORIES, touch=False)
        return await memories.list(principal.organisation, seen, most=MEMORIES)

    async def delete(request: Request, principal: Principal) -> Response:
        await threads.delete(principal.organisation, request.path_params["id"], access.person_of(principal))
        return toast(_to(PAGE), "Thread deleted")

    async def forget(request: Request, principal: Principal) -> Response:
        thread = await threads.get(principal.organisation, request.path_params["id"], access.person_of(principal))
        await memories.forget(principal.organisation, access.owners(principal), request.path_params["memory"])
        return toast(_to(_href(thread)), "Forgotten")

    return (
        Page(path=PAGE, handler=listing),
        Page(path=f"{PAGE}/{{id}}", handler=show),
        Page(path=f"{PAGE}/{{id}}/delete", handler=delete, scope=Scope.CALL, methods=("POST",)),
        Page(path=f"{PAGE}/{{id}}/forget/{{memory}}", handler=forget, scope=Scope.CALL, methods=("POST",)),
    )


def _href(thread: Thread) -> str:
    return f"{PAGE}/{quote(thread.id, safe='')}"


def _to(path: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(path, 303)
