"""The processes beside Penstock: a provider that echoes every message, and a proxy that does nothing but pass messages on.

``python -m benchmarks.realtime.peers echo PORT`` and ``... bare PORT UPSTREAM_PORT``. The proxy uses the same library and settings, so
that what Penstock adds to it is the line, the reading of events and the hand-over.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve

OPTIONS: dict[str, Any] = {"max_size": None, "compression": None, "max_queue": (4, 1), "write_limit": 65536}


async def _pass(source: Connection, sink: Connection) -> None:
    async for message in source:
        await sink.send(message)


async def _echo(connection: ServerConnection) -> None:
    await _pass(connection, connection)


async def _main(role: str, port: int, upstream: int) -> None:
    async def proxy(client: ServerConnection) -> None:
        async with connect(f"ws://127.0.0.1:{upstream}/v1/realtime", proxy=None, **OPTIONS) as provider:
            await asyncio.wait(
                [asyncio.create_task(_pass(client, provider)), asyncio.create_task(_pass(provider, client))],
                return_when=asyncio.FIRST_COMPLETED,
            )

    async with serve(_echo if role == "echo" else proxy, "127.0.0.1", port, **OPTIONS) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
