"""A receiver of OTLP over HTTP that keeps what it gets and answers what a test says."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Got:
    """One export: where it came, with which headers, and what it says."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.export = ExportTraceServiceRequest.FromString(self.body)

    @property
    def spans(self) -> list[Any]:
        return [span for resource in self.export.resource_spans for scope in resource.scope_spans for span in scope.spans]


class Receiver:
    """Takes everything, unless ``answers`` holds what to answer first: status, headers, body. ``hold`` keeps answers back."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Got] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.hold: asyncio.Event | None = None
        self._more = asyncio.Condition()

    @property
    def spans(self) -> list[Any]:
        return [span for one in self.got for span in one.spans]

    async def until(self, exports: int) -> None:
        """Wait until as many exports have come."""
        async with self._more:
            await self._more.wait_for(lambda: len(self.got) >= exports)

    async def until_spans(self, spans: int) -> None:
        """Wait until as many spans have come."""
        async with self._more:
            await self._more.wait_for(lambda: len(self.spans) >= spans)

    async def take(self, request: web.Request) -> web.Response:
        got = Got(request.path, {name.lower(): value for name, value in request.headers.items()}, await request.read())
        async with self._more:
            self.got.append(got)
            self._more.notify_all()
        if self.hold is not None:
            await self.hold.wait()
        status, headers, body = self.answers.pop(0) if self.answers else (200, {}, b"")
        return web.Response(status=status, headers={"content-type": "application/x-protobuf", **headers}, body=body)


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Receiver]:
    """A receiver at a free port, for any path."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server: Any = site._server
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        if receiver.hold is not None:
            receiver.hold.set()
        await runner.cleanup()


def said(attributes: Any) -> dict[str, Any]:
    """Attributes of an export by name."""
    return {one.key: _plain(one.value) for one in attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return said(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
