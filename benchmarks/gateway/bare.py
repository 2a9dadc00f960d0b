"""A bare proxy on Penstock's own server and client, with no line between: what the line costs is Penstock's figure minus this one's.

It hashes the key, decodes ``model`` from the body and ``usage`` from the reply, and forwards; streams go through as they come.
Run by the benchmark as ``python -m benchmarks.gateway.bare PORT UPSTREAM_PORT [PROCESSES]``.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from typing import Any

import msgspec

from penstock.edge.server import Server
from penstock.gateway.client import Client, Origin
from penstock.kernel.web import EdgeProtocol, EdgeScope


class _Request(msgspec.Struct):
    model: str
    stream: bool = False


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Reply(msgspec.Struct):
    usage: _Usage


_request = msgspec.json.Decoder(_Request).decode
_reply = msgspec.json.Decoder(_Reply).decode


class Bare:
    """The RSGI application."""

    def __init__(self, upstream: str, key: str) -> None:
        self._client = Client(Origin(upstream))
        self._head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: %s\r\nauthorization: Bearer sk-upstream\r\ncontent-type: application/json\r\n"
            % self._client.origin.authority.encode()
        )
        self._known = {hashlib.sha256(key.encode()).digest()}
        self.tokens = 0

    async def __rsgi__(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        presented = scope.headers.get("authorization", "") or ""
        if hashlib.sha256(presented[7:].encode()).digest() not in self._known:
            protocol.response_bytes(401, [], b"")
            return
        body = await protocol()
        request = _request(body)
        answer = await self._client.request(self._head, body, timeout=60)
        if request.stream:
            transport = protocol.response_stream(answer.status, [("content-type", "text/event-stream")])
            async for chunk in answer.chunks():
                await transport.send_bytes(chunk)
            return
        reply = await answer.read(64 << 20)
        self.tokens += _reply(reply).usage.completion_tokens
        protocol.response_bytes(answer.status, [("content-type", "application/json")], reply)


async def _serve(port: int, upstream_port: int, key: str, *, shared: bool) -> None:
    application: Any = Bare(f"http://127.0.0.1:{upstream_port}", key)
    server = Server(application, host="127.0.0.1", port=port, backlog=1024, head_seconds=10, shared=shared)
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    from benchmarks.gateway.contestants import KEY

    # Further processes on the same port, for the benchmark of workers.
    others = int(sys.argv[3]) - 1 if len(sys.argv) > 3 else 0
    for _ in range(others):
        if os.fork() == 0:
            break
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), KEY, shared=others > 0))
