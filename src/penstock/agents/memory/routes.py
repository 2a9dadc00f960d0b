"""The JSON routes of threads and long-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.agents.memory import access
from penstock.agents.memory.service import MOST_FOUND, Memories
from penstock.agents.memory.threads import Threads
from penstock.agents.recollection import Memory, Scope, Thread, ThreadMessage
from penstock.kernel.principal import Scope as Right
from penstock.kernel.web import Ask, Moment, Nothing, Route

MOST = 200
Limit = Annotated[int, Meta(ge=1, le=MOST)]
Name = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]


class ThreadQuery(Struct, frozen=True, kw_only=True):
    """Which threads, the last ones first. ``before`` is ``updated_at`` of the last one on the page before."""

    agent: Name = ""
    person: Name = ""
    before: Moment | None = None
    limit: Limit = 50


class ThreadList(Struct, frozen=True, kw_only=True):
    """Threads, the one that was gone on with last first."""

    data: list[Thread]


class MessageQuery(Struct, frozen=True, kw_only=True):
    """Which messages: the last ``limit`` before the one numbered ``before``."""

    before: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    limit: Limit = MOST


class WholeThread(Struct, frozen=True, kw_only=True):
    """A thread, its messages with the oldest first, and the runs in which they were said."""

    thread: Thread
    messages: list[ThreadMessage]
    runs: list[str]


class MemoryQuery(Struct, frozen=True, kw_only=True):
    """Which memories. With ``q``, what has to do with it, the best first; else the newest first, before the moment ``before``."""

    q: Annotated[str, Meta(max_length=2000)] = ""
    scope: Scope | None = None
    owner: Name = ""
    label: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")] = ""
    before: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_FOUND)] = 20


class MemoryList(Struct, frozen=True, kw_only=True):
    """What is remembered."""

    data: list[Memory]


class MemoryBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to remember. ``owner`` is the person's or team's id or the agent's name; a key's own where it is left out."""

    text: Annotated[str, Meta(min_length=1)]
    scope: Scope = "person"
    owner: Name = ""
    labels: list[str] = []
    days: float | None = None


def routes(threads: Threads, memories: Memories) -> Sequence[Route]:
    """Threads: list, show, delete. Memory: list and search, add, show, delete."""

    async def listed(ask: Ask) -> ThreadList:
        query = ask.query(ThreadQuery)
        person = access.person_of(ask.principal) or query.person or None
        found = await threads.list(
            ask.principal.organisation, person=person, agent=query.agent or None, before=query.before, most=query.limit
        )
        return ThreadList(data=found)

    async def show(ask: Ask) -> WholeThread:
        query = ask.query(MessageQuery)
        found = await threads.get(ask.principal.organisation, ask.path["id"], access.person_of(ask.principal))
        messages = await threads.messages(found, query.before, query.limit)
        return WholeThread(thread=found, messages=messages, runs=list(dict.fromkeys(one.run for one in messages)))

    async def delete(ask: Ask) -> Nothing:
        await threads.delete(ask.principal.organisation, ask.path["id"], access.person_of(ask.principal))
        return Nothing()

    async def remembered(ask: Ask) -> MemoryList:
        query = ask.query(MemoryQuery)
        among = access.narrowed(ask.principal, query.scope, query.owner)
        organisation = ask.principal.organisation
        if query.q.strip():
            # Looking is no use: what people read here does not live on for it.
            found = await memories.recall(organisation, among, query.q, label=query.label, most=query.limit, touch=False)
        else:
            found = await memories.list(organisation, among, label=query.label, before=query.before, most=query.limit)
        return MemoryList(data=found)

    async def remember(ask: Ask) -> Memory:
        body, principal = ask.body(MemoryBody), ask.principal
        owner = access.written(principal, body.scope, body.owner)
        return await memories.remember(
            principal.organisation, owner, body.text, labels=body.labels, days=body.days, person=principal.person or ""
        )

    async def one(ask: Ask) -> Memory:
        return await memories.get(ask.principal.organisation, access.owners(ask.principal), ask.path["id"])

    async def forget(ask: Ask) -> Nothing:
        await memories.forget(ask.principal.organisation, access.owners(ask.principal), ask.path["id"])
        return Nothing()

    read, call = Right.READ, Right.CALL
    thread, memory = "/v1/agents/threads", "/v1/agents/memory"
    return (
        Route(method="GET", path=thread, handler=listed, summary="List threads.", scope=read, query=ThreadQuery, returns=ThreadList),
        Route(
            method="GET",
            path=f"{thread}/{{id}}",
            handler=show,
            summary="Show a thread with its messages.",
            scope=read,
            query=MessageQuery,
            returns=WholeThread,
        ),
        Route(method="DELETE", path=f"{thread}/{{id}}", handler=delete, summary="Delete a thread.", scope=call, returns=Nothing),
        Route(
            method="GET",
            path=memory,
            handler=remembered,
            summary="List or search what is remembered.",
            scope=read,
            query=MemoryQuery,
            returns=MemoryList,
        ),
        Route(
            method="POST",
            path=memory,
            handler=remember,
            summary="Remember something.",
            scope=call,
            body=MemoryBody,
            returns=Memory,
            status=201,
        ),
        Route(method="GET", path=f"{memory}/{{id}}", handler=one, summary="Show a memory.", scope=read, returns=Memory),
        Route(method="DELETE", path=f"{memory}/{{id}}", handler=forget, summary="Forget a memory.", scope=call, returns=Nothing),
    )
