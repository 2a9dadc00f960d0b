"""A small API on a real socket: what it was asked, answers good and bad, and a description of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class Shop:
    """``asked`` are method, path with query, headers and body of each request; ``keys`` remembers what was done under one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.keys: dict[str, Any] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.asked.append((request.method, request.raw_path, {k.lower(): v for k, v in request.headers.items()}, body))
        match request.method, request.path:
            case _, "/fail":
                return web.json_response({"why": "closed"}, status=503, headers={"retry-after": "7"})
            case _, "/broken":
                return web.Response(text="oh", status=500)
            case _, "/missing":
                return web.json_response({"error": "no such thing"}, status=404)
            case _, "/endless":
                found = web.StreamResponse(headers={"content-type": "text/plain"})
                await found.prepare(request)
                try:
                    while True:
                        await found.write(b"x" * 16_384)
                except OSError:
                    return found
            case _, "/lost":
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            case _, "/slow":
                await asyncio.Event().wait()
            case _, "/elsewhere":
                raise web.HTTPFound(request.query["to"])
            case _, "/round":
                raise web.HTTPFound("/round")
            case _, "/picture":
                return web.Response(body=b"\x89PNG\xff\x00", content_type="image/png")
            case "POST", "/refunds":
                key = request.headers["Idempotency-Key"]
                self.keys.setdefault(key, {"number": len(self.keys) + 1})
                return web.json_response(self.keys[key], status=201)
        return web.json_response({"path": request.path, "query": dict(request.query)})

    @property
    def last(self) -> tuple[str, str, dict[str, str], Any]:
        method, path, headers, body = self.asked[-1]
        return method, path, headers, json.loads(body) if body[:1] in ("{", "[") else body


@asynccontextmanager
async def shop_server() -> AsyncGenerator[Shop]:
    found = Shop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
