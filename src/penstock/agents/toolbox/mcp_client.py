"""A connection to an MCP server: made when it is needed, kept while it is used, made anew when it broke."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from penstock.agents.toolbox.references import resolved, secret

if TYPE_CHECKING:
    from mcp.client import Client, Transport

IDLE_SECONDS = 300.0
READ_BYTES = 4 * 2**20
READ_SECONDS = 300.0
"""How long a stream may be silent: a server may hold one open."""
MOST_TOOLS = 500


class OAuth(Struct, frozen=True, kw_only=True):
    """A client that the authorization server ``issuer`` knows (the grant of client credentials). ``client_secret`` is a reference.

    Tokens are asked of that issuer alone, whatever the MCP server says of where to ask.
    """

    issuer: str
    client_id: str
    client_secret: str
    scope: str = ""

    def __post_init__(self) -> None:
        secret(self.client_secret, "mcp.oauth.client_secret")


class McpServer(Struct, frozen=True, kw_only=True):
    """Where an MCP server is: a ``command`` that is started and spoken to over its standard input and output, or a ``url`` (streamable
    HTTP). ``env`` and ``headers`` hold references (``env:NAME``, ``file:/path``) or plain values; of our environment a command is given
    ``PATH``, ``HOME`` and the like alone. What a command says on standard error goes to the file ``log``. Connecting, and each question,
    may take ``seconds``; of one answer at most ``read_bytes`` are read.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = {}
    folder: str = ""
    headers: Mapping[str, str] = {}
    oauth: OAuth | None = None
    log: str = os.devnull
    seconds: float = 60.0
    read_bytes: int = READ_BYTES

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError(f"mcp: the server {self.name} has a command or a url, one of both")


class Lost(Exception):
    """The connection cannot be made, or broke. ``sent`` says whether what was asked may have arrived."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Overlong(Lost):
    """An answer was longer than is read: what it said of what was asked, nobody knows."""


class Refused(Exception):
    """The server, or its sign-in, said no."""


class Connection:
    """One connection, which lives in a task of its own. Use it on one event loop."""

    def __init__(self, server: McpServer, idle: float = IDLE_SECONDS, auth: Callable[[], Any] | None = None) -> None:
        """``auth`` makes what signs requests over HTTP in, in place of the server's own ``oauth``."""
        self._server = server
        self._auth = auth
        self._idle = idle
        self._task: asyncio.Task[None] | None = None
        self._client: asyncio.Future[Client] | None = None
        self._used = asyncio.Event()
        self._busy = 0
        self._leaving = False
        self._long = False
        self._tokens = _Tokens()

    async def tools(self) -> list[dict[str, Any]]:
        """The server's tools as it describes them. Raises `Lost` and `Refused`."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        pages = 0
        async with self._in_time(), self._using() as client:
            while True:
                page = await client.list_tools(cursor=cursor, cache_mode="bypass")
                found += [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in page.tools]
                cursor = page.next_cursor
                if cursor is None:
                    return found
                pages += 1
                if len(found) > MOST_TOOLS or pages > MOST_TOOLS:
                    raise Refused(f"it has more than {MOST_TOOLS} tools, or pages of them")

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        """What a tool of the server gives: its structured result, or text. Raises `Lost` and `Refused`."""
        async with self._in_time(), self._using() as client:
            result = await client.call_tool(name, arguments, meta={"penstock/idempotency-key": key})
        blocks = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in result.content]
        if result.is_error:
            raise Refused(_text(blocks) or "it failed and did not say why")
        return _text(blocks) if result.structured_content is None else result.structured_content

    @property
    def open(self) -> bool:
        """Whether there is a connection that can be used."""
        return self._task is not None and not self._task.done() and not self._leaving

    async def close(self) -> None:
        """End the connection; the next call makes another one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = self._client = None

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        seconds = self._server.seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as fault:
            raise Lost(f"the MCP server {self._server.name} did not answer within {seconds:g} s", sent=True) from fault

    @contextlib.asynccontextmanager
    async def _using(self) -> AsyncGenerator[Client]:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED, PARSE_ERROR

        client = await self._connected()
        self._busy += 1
        try:
            task = self._task
            assert task is not None
            inner = asyncio.current_task()
            assert inner is not None
            broke, before = False, inner.cancelling()

            def wake(_: Any) -> None:
                nonlocal broke
                broke = True
                inner.cancel()  # nobody else tells a call that its connection is gone

            task.add_done_callback(wake)
            try:
                yield client
            except asyncio.CancelledError:
                # Somebody else may have broken the call off as well, and waits for that.
                if not broke or inner.uncancel() > before:
                    raise
                raise self._broke() from None
            finally:
                task.remove_done_callback(wake)
        except MCPError as fault:
            # The second is what the SDK makes of an answer that is none; a server that cannot read a question closes nothing by saying so.
            if fault.error.code in (CONNECTION_CLOSED, PARSE_ERROR):
                await self.close()
                raise self._broke() from fault
            raise Refused(fault.error.message[:2000]) from fault
        except OSError as fault:
            await self.close()
            raise Lost(f"the connection to the MCP server {self._server.name} broke: {type(fault).__name__}", sent=True) from fault
        finally:
            self._busy -= 1
            self._used.set()

    def _broke(self) -> Lost:
        if self._long:
            told = f"an answer of the MCP server {self._server.name} has more than {self._server.read_bytes} bytes, and was not read"
            return Overlong(told, sent=True)
        return Lost(f"the connection to the MCP server {self._server.name} broke", sent=True)

    def _over(self) -> None:
        """More was answered than is read: there is no way to go on with the next answer."""
        self._long = True
        if self._task is not None:
            self._task.cancel()

    async def _connected(self) -> Client:
        if not self.open:
            self._client, self._leaving, self._long = asyncio.get_running_loop().create_future(), False, False
            self._task = asyncio.create_task(self._live(self._client), name=f"mcp {self._server.name}")
        assert self._client is not None
        return await asyncio.shield(self._client)

    async def _live(self, ready: asyncio.Future[Client]) -> None:
        # The SDK brings pydantic and takes half a second to import.
        from mcp.client import Client

        try:
            async with contextlib.AsyncExitStack() as stack:
                transport = await self._transport(stack)
                async with asyncio.timeout(self._server.seconds) as limit:
                    client = await stack.enter_async_context(Client(transport, cache=None))
                    limit.reschedule(None)
                    ready.set_result(client)
                    await self._until_idle()
        except asyncio.CancelledError:
            if self._long:
                _failed(ready, self._broke())
            _failed(ready, Lost(f"the connection to the MCP server {self._server.name} was closed", sent=False))
            raise
        except BaseException as fault:  # whatever it is: whoever waits for the connection has to know
            _failed(ready, _told(self._server, fault))
            if not isinstance(fault, Exception):
                raise

    async def _until_idle(self) -> None:
        while True:
            self._used.clear()
            try:
                async with asyncio.timeout(self._idle):
                    await self._used.wait()
            except TimeoutError:
                if not self._busy:
                    self._leaving = True  # who comes now needs another connection: this one is being taken down
                    return

    async def _transport(self, stack: contextlib.AsyncExitStack) -> Transport:
        server = self._server
        # The SDK brings pydantic and takes half a second to import.
        from penstock.agents.toolbox.mcp_reading import Bounded, program

        if server.command:
            env = {name: resolved(value, f"mcp.{server.name}.env.{name}") for name, value in server.env.items()}
            log = stack.enter_context(await asyncio.to_thread(Path(server.log).open, "a", encoding="utf-8"))
            return program(server.command, env, server.folder, log, server.read_bytes, self._over)
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        headers = {name: resolved(value, f"mcp.{server.name}.headers.{name}") for name, value in server.headers.items()}
        auth = None if server.oauth is None else self._sign_in(server, server.oauth)
        auth = auth if self._auth is None else self._auth()
        transport = Bounded(server.read_bytes, self._over)
        client = httpx2.AsyncClient(headers=headers, auth=auth, transport=transport, timeout=httpx2.Timeout(30.0, read=READ_SECONDS))
        await stack.enter_async_context(client)
        # Ours is the first to see that an answer is too long, and says so better.
        return streamable_http_client(server.url, http_client=client, max_sse_event_size=2 * server.read_bytes)

    def _sign_in(self, server: McpServer, oauth: OAuth) -> Any:
        from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider

        return ClientCredentialsOAuthProvider(
            server.url,
            self._tokens,
            oauth.client_id,
            resolved(oauth.client_secret, f"mcp.{server.name}.oauth.client_secret"),
            scope=oauth.scope or None,
            issuer=oauth.issuer,
        )


class _Tokens:
    """Tokens of this process; another one asks for its own."""

    def __init__(self) -> None:
        self._tokens: Any = None
        self._client: Any = None

    async def get_tokens(self) -> Any:
        return self._tokens

    async def set_tokens(self, tokens: Any) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> Any:
        return self._client

    async def set_client_info(self, client_info: Any) -> None:
        self._client = client_info


def _failed(ready: asyncio.Future[Client], fault: Exception) -> None:
    if not ready.done():
        ready.set_exception(fault)
        ready.exception()  # nobody may be waiting any more


def _told(server: McpServer, fault: BaseException) -> Exception:
    """What went wrong while connecting, of the many faults that a group may hold the first, without addresses and secrets."""
    from mcp.client.auth.exceptions import OAuthFlowError

    while isinstance(fault, BaseExceptionGroup):
        fault = cast("BaseExceptionGroup[BaseException]", fault).exceptions[0]
    if isinstance(fault, OAuthFlowError):
        return Refused(f"the sign-in to the MCP server {server.name} failed: {str(fault)[:300]}")
    if isinstance(fault, FileNotFoundError | PermissionError):
        return Refused(f"the MCP server {server.name} cannot be started: {fault.strerror}: {server.command[:1] or server.log}")
    kind = type(fault).__name__
    return Lost(f"the MCP server {server.name} cannot be reached ({kind}{f': {str(fault)[:300]}' if server.command else ''})", sent=False)


def _text(blocks: list[dict[str, Any]]) -> str:
    parts: list[str] = []
    for one in blocks:
        match one.get("type"):
            case "text":
                parts.append(str(one.get("text", "")))
            case "resource" if "text" in one.get("resource", {}):
                parts.append(str(one["resource"]["text"]))
            case "resource_link":
                parts.append(f"[{one.get('uri')}]")
            case kind:
                parts.append(f"[{kind} {one.get('mimeType', '')}, {len(str(one.get('data', ''))) * 3 // 4} bytes]")
    return "\n".join(parts)
