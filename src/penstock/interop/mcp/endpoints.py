"""``/mcp``: MCP over streamable HTTP without sessions, for versions with a handshake and for those that need none.

JSON-RPC is spoken by hand: the SDK's server brings an ASGI application, sessions and pydantic, and this is four methods.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from penstock import __version__
from penstock.interop import sse
from penstock.interop.door import Door, respond
from penstock.interop.mcp.calling import TASKS, Begun, Calling
from penstock.interop.mcp.standing import progress
from penstock.interop.mcp.tools import Tool, tools
from penstock.interop.mcp.words import (
    HEADER,
    MODERN,
    OLDER,
    PARAMS,
    PARSE,
    REQUEST,
    STATUS,
    VERSION,
    Fault,
    Request,
    failure,
    of_house,
    read,
    result,
)
from penstock.interop.mcp.words import METHOD as NO_METHOD
from penstock.kernel.agents import AgentEvent, AgentRuns
from penstock.kernel.errors import MethodNotAllowed, PenstockError, RequestError
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Tasks
from penstock.kernel.vendor import Asked
from penstock.kernel.web import Description, Endpoint

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource"
MOST_BODY = 1024 * 1024
PAGE = 100
SERVER = {"name": "penstock", "title": "Penstock", "version": __version__}
INSTRUCTIONS = (
    "Agents and tasks of this organisation. A call of an agent is a durable run: run_result says how one stands that did not end in time."
)


class McpServer:
    """Answers messages, one by one; what it remembers are the calls that are under way in this process."""

    def __init__(self, door: Door, runs: Callable[[], AgentRuns], tasks: Callable[[], Tasks | None], calling: Calling) -> None:
        self._door = door
        self._runs = runs
        self._tasks = tasks
        self._calling = calling
        self._open: dict[tuple[str, str | int], list[tuple[Principal, Begun]]] = {}

    def endpoints(self, servers: Sequence[str]) -> Sequence[Endpoint]:
        """``servers`` are OAuth servers that the metadata name."""

        async def metadata(asked: Asked) -> dict[str, Any]:
            told: dict[str, Any] = {
                "resource": self._door.place.base(asked.scope) + PATH,
                "resource_name": "Penstock",
                "bearer_methods_supported": ["header"],
                "scopes_supported": ["call"],
            }
            return told | ({"authorization_servers": list(servers)} if servers else {})

        async def wrong(asked: Asked) -> None:
            raise MethodNotAllowed("there are no sessions and no streams of their own here: POST each message to /mcp")

        door, refuse = self._door, self._refuse
        about = "Where keys for /mcp come from."
        return (
            door.endpoint("POST", PATH, self._post, "Speak MCP.", _describe, refuse=refuse),
            door.endpoint("GET", PATH, wrong, "Refused: MCP is spoken here without sessions.", _describe_wrong, refuse=refuse, held=False),
            door.endpoint("DELETE", PATH, wrong, "Refused: there is no session to end.", _describe_wrong, refuse=refuse, held=False),
            door.preflight(PATH),
            *(
                door.endpoint("GET", path, metadata, about, _describe_metadata, refuse=refuse, public=True, held=False)
                for path in (METADATA + PATH, METADATA)
            ),
        )

    async def _post(self, asked: Asked) -> None:
        id: Any = None
        modern = asked.header("mcp-protocol-version") in MODERN
        try:
            accepts = asked.header("accept") or "*/*"
            if not any(kind in accepts for kind in ("application/json", "text/event-stream", "*/*", "application/*")):
                raise RequestError("answers are application/json or text/event-stream; accept both", status=406, code="not_acceptable")
            body = bytearray()
            async for piece in asked.pieces():
                body += piece
                if len(body) > MOST_BODY:
                    raise RequestError(f"the body is longer than {MOST_BODY} bytes", status=413, code="body_too_large")
            request = read(asked, bytes(body))
            id, modern = request.id, request.modern
            if id is None:
                await self._notified(asked.principal, request)
                asked.protocol.response_empty(202, asked.named())
                return
            answer = await self._answer(asked.principal, request)
            if isinstance(answer, Begun):
                await self._wait(asked, request, answer, streams="text/event-stream" in accepts)
            else:
                respond(asked, 200, result(id, _finished(request, answer)))
        except Fault as fault:
            _fail(asked, fault, id, modern=modern)
        except RequestError as fault:
            if fault.status in (405, 406, 408, 413):
                raise
            _fail(asked, of_house(fault, id), id, modern=modern)

    async def _answer(self, principal: Principal, request: Request) -> Mapping[str, Any] | Begun:
        params = request.params
        match request.method:
            case "initialize" if not request.modern:
                wanted = params.get("protocolVersion")
                version = wanted if wanted in OLDER else OLDER[0]
                return {
                    "protocolVersion": version,
                    "capabilities": {"tools": {"listChanged": False}},
                    "serverInfo": SERVER,
                    "instructions": INSTRUCTIONS,
                }
            case "ping" if not request.modern:
                return {}
            case "server/discover" if request.modern:
                return {
                    "supportedVersions": [*MODERN, *OLDER],
                    "capabilities": {"tools": {"listChanged": False}, "extensions": {TASKS: {}}},
                    "instructions": INSTRUCTIONS,
                    "ttlMs": 0,
                    "cacheScope": "private",
                }
            case "tools/list":
                return self._listed(principal, request)
            case "tools/call":
                return await self._calling.begin(principal, self._tool(principal, request), request)
            case "tasks/get" if request.modern:
                by_agent = {one.card.name: one for one in self._known(principal).values() if one.card is not None}
                return await self._calling.task(principal, request.text("taskId"), by_agent.get)
            case "tasks/update" if request.modern:
                await self._calling.update(principal, request.text("taskId"), params.get("inputResponses"))
                return {}
            case "tasks/cancel" if request.modern:
                await self._calling.cancel(principal, request.text("taskId"))
                return {}
            case _:
                raise Fault(NO_METHOD, f"there is no method {request.method[:100]!r} here", id=request.id)

    def _known(self, principal: Principal) -> dict[str, Tool]:
        there = self._tasks()
        declared = () if there is None else [one for one in there.all(principal.organisation) if principal.may_use_task(one.name)]
        return tools(self._runs().cards(principal), declared)

    def _tool(self, principal: Principal, request: Request) -> Tool:
        name = request.text("name")
        tool = self._known(principal).get(name)
        if tool is None:
            raise Fault(PARAMS, f"there is no tool {name[:100]!r}", id=request.id)
        return tool

    def _listed(self, principal: Principal, request: Request) -> dict[str, Any]:
        cursor = request.params.get("cursor")
        if cursor is not None and not (isinstance(cursor, str) and cursor.isascii() and cursor.isdecimal() and len(cursor) < 9):
            raise Fault(PARAMS, "params.cursor is none of this list", id=request.id)
        start = int(cursor or 0)
        found = [tool.told() for tool in self._known(principal).values()]
        told: dict[str, Any] = {"tools": found[start : start + PAGE]}
        if len(found) > start + PAGE:
            told["nextCursor"] = str(start + PAGE)
        return told | ({"ttlMs": 0, "cacheScope": "private"} if request.modern else {})

    async def _wait(self, asked: Asked, request: Request, begun: Begun, *, streams: bool) -> None:
        """Answer a call when its run has ended: with events where the client takes them, else with one piece of JSON."""
        assert request.id is not None
        principal, mark = asked.principal, (asked.principal.key_id, request.id)
        mine = (principal, begun)
        self._open.setdefault(mark, []).append(mine)
        try:
            if streams:
                stayed = await sse.tell(asked, self._told(principal, request, begun))
            else:
                finished = await _unless_left(asked, self._calling.finish(principal, begun, None))
                stayed = finished is not None
                if finished is not None:
                    respond(asked, 200, result(request.id, _finished(request, finished)))
        finally:
            self._open[mark] = [one for one in self._open[mark] if one is not mine]
            if not self._open[mark]:
                del self._open[mark]
        if not stayed and not begun.kept:
            await self._calling.leave(principal, begun)

    async def _told(self, principal: Principal, request: Request, begun: Begun) -> AsyncGenerator[bytes]:
        token, queue = request.progress, asyncio.Queue[bytes | None]()
        count = 0

        async def tell(event: AgentEvent) -> None:
            nonlocal count
            count += 1
            params = {"progressToken": token, "progress": count, "message": progress(event)}
            queue.put_nowait(sse.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}, name="message"))

        async def work() -> dict[str, Any]:
            try:
                return await self._calling.finish(principal, begun, tell if token is not None else None)
            finally:
                queue.put_nowait(None)

        working = asyncio.create_task(work())
        try:
            while (piece := await queue.get()) is not None:
                yield piece
            try:
                told = result(request.id, _finished(request, await working))
            except PenstockError as fault:
                told = failure(of_house(fault, request.id))
            yield sse.event(told, name="message")
        finally:
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError, PenstockError):
                await working

    async def _notified(self, principal: Principal, request: Request) -> None:
        """Of all notifications only one asks for something: a call is not wanted any more. Newer clients hang up instead."""
        named = request.params.get("requestId")
        if request.method != "notifications/cancelled" or request.modern or not isinstance(named, str | int):
            return
        found = self._open.get((principal.key_id, named), [])
        if len(found) == 1:  # clients that share a key count alike: of two such calls nobody knows which is meant, and both go on
            await self._calling.leave(*found[0])

    def _refuse(self, asked: Asked, fault: PenstockError) -> None:
        headers: list[tuple[str, str]] = []
        if fault.status in (401, 403) and fault.code != "origin_not_allowed":
            told = f'Bearer resource_metadata="{self._door.place.base(asked.scope)}{METADATA}{PATH}"'
            if fault.status == 403:
                told += ', error="insufficient_scope", scope="call"'
            elif fault.code != "missing_api_key":
                told += ', error="invalid_token"'
            headers.append(("www-authenticate", told))
        if fault.status == 405:
            headers.append(("allow", "POST"))
        respond(asked, fault.status, failure(of_house(fault)), fault, headers=tuple(headers))


def _finished(request: Request, told: Mapping[str, Any]) -> dict[str, Any]:
    """A result with what newer clients want to find in each."""
    if not request.modern:
        return dict(told)
    whole: dict[str, Any] = {"resultType": "complete", **told}
    whole["_meta"] = {**whole.get("_meta", {}), "io.modelcontextprotocol/serverInfo": SERVER}
    return whole


def _fail(asked: Asked, fault: Fault, id: Any, *, modern: bool) -> None:
    """An error of JSON-RPC. To clients with sessions a 404 says that theirs is over, so they are told of errors with 200."""
    fault.id = id if fault.id is None else fault.id
    early = fault.code in (PARSE, REQUEST, HEADER, VERSION)
    respond(asked, STATUS.get(fault.code, 200) if modern or early else 200, failure(fault))


async def _unless_left(asked: Asked, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any] | None:
    """What the work gives, or None when the client has left."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_left(asked.protocol.client_disconnect))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        gone.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait([working])


async def _left(disconnect: Callable[[], Awaitable[None]]) -> None:
    await disconnect()


def _describe() -> Description:
    # Schemas, which only whoever asks for the document needs.
    from penstock.interop.description import plain

    headers = {"MCP-Protocol-Version": {"type": "string", "description": f"One of {', '.join((*MODERN, *OLDER))}."}}
    return plain(
        "A message of MCP.", "An answer of JSON-RPC.", required=("jsonrpc", "method"), event="A message of JSON-RPC.", headers=headers
    )


def _describe_wrong() -> Description:
    from penstock.interop.description import plain

    return plain(None, "Nothing: each message is posted.")


def _describe_metadata() -> Description:
    from penstock.interop.description import plain

    return plain(None, "Metadata of a protected resource (RFC 9728).")


__all__ = ["METADATA", "PATH", "McpServer"]
