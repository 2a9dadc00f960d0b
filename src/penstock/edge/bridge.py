"""ASGI applications behind RSGI: one server serves the hot path natively and everything else through Starlette.

Only HTTP is bridged. The body is streamed in and bounded; a streamed response is streamed out and cancelled when the client leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from penstock.kernel.web import EdgeProtocol, EdgeScope, EdgeStream

_log = logging.getLogger("penstock.edge")

Message = MutableMapping[str, Any]
AsgiApp = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Bridge:
    """Calls an ASGI application for one RSGI request at a time; stateless. Bodies above ``max_body`` bytes answer 413."""

    def __init__(self, app: AsgiApp, *, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        exchange = _Exchange(protocol, self._max_body)
        declared = scope.headers.get("content-length")
        if declared is not None and (not declared.isdecimal() or int(declared) > self._max_body):
            protocol.response_bytes(413, [("content-type", "application/json")], _TOO_LARGE)
            return
        try:
            await self._app(_asgi_scope(scope), exchange.receive, exchange.send)
        except _BodyTooLarge:
            if not exchange.started:
                protocol.response_bytes(413, [("content-type", "application/json")], _TOO_LARGE)
        except Exception:  # the last resort for a fault of ours: answer without a trace, log it
            if exchange.gone:
                return  # who asked has left in the middle of a stream, which is no fault
            _log.exception("request failed", extra={"path": scope.path})
            if not exchange.started:
                protocol.response_bytes(500, [("content-type", "application/json")], _INTERNAL)
        finally:
            exchange.close()


_TOO_LARGE = b'{"error":{"code":"body_too_large","message":"the body is too large","param":null}}'
_INTERNAL = b'{"error":{"code":"internal_error","message":"internal error; the operator finds it in the log","param":null}}'


class _BodyTooLarge(Exception):
    pass


class _Gone(OSError):
    """What ASGI wants raised where the client cannot be written to any more."""


class _Exchange:
    def __init__(self, protocol: EdgeProtocol, max_body: int) -> None:
        self._protocol = protocol
        self._left = max_body
        self._body: Any = None
        self._ended = False
        self._gone: asyncio.Future[None] | None = None
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._held: bytes | None = None
        self._stream: EdgeStream | None = None
        self.started = False
        self.gone = False

    async def receive(self) -> Message:
        if self._ended:
            if self._gone is None:
                self._gone = asyncio.ensure_future(self._protocol.client_disconnect())
            await asyncio.shield(self._gone)
            return {"type": "http.disconnect"}
        if self._body is None:
            self._body = self._protocol.__aiter__()
        try:
            chunk: bytes = await self._body.__anext__()
        except StopAsyncIteration:
            self._ended = True
            return {"type": "http.request", "body": b"", "more_body": False}
        self._left -= len(chunk)
        if self._left < 0:
            raise _BodyTooLarge
        return {"type": "http.request", "body": bytes(chunk), "more_body": True}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message.get("headers", ())]
            return
        if message["type"] != "http.response.body":
            return
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self._stream is not None:
            if body:
                await self._write(self._stream, bytes(body))
        elif more:
            self.started = True
            self._stream = self._protocol.response_stream(self._status, self._headers)
            if body:
                await self._write(self._stream, bytes(body))
        elif not self.started:
            self.started = True
            self._protocol.response_bytes(self._status, self._headers, bytes(body))

    async def _write(self, stream: EdgeStream, body: bytes) -> None:
        try:
            await stream.send_bytes(body)
        except Exception as fault:  # the server has a name of its own for it, and nothing else can be wrong with a write
            self.gone = True
            raise _Gone("the client has left") from fault

    def close(self) -> None:
        if self._gone is not None:
            self._gone.cancel()


def _asgi_scope(scope: EdgeScope) -> dict[str, Any]:
    host, _, port = scope.client.rpartition(":")
    headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in scope.headers.items()]
    if not any(n == b"host" for n, _ in headers):
        authority = getattr(scope, "authority", None)
        headers.append((b"host", (authority or "localhost").encode("latin-1")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        # RSGI's path is decoded already; once more would read "%2541" as "A".
        "path": scope.path,
        # As in a URI: what came in may hold any character.
        "raw_path": quote(scope.path, safe="/:@!$&'()*+,;=~").encode("ascii"),
        "query_string": scope.query_string.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "client": (host, int(port)) if port.isdecimal() else None,
        "server": None,
        "extensions": {},
        "state": {},
    }
