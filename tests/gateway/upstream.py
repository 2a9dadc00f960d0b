"""A provider that misbehaves on request: raw bytes over a real socket, scripted per connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[["Conversation"], Awaitable[None]]


class Conversation:
    """One accepted connection: read requests, write whatever bytes the test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request; raises IncompleteReadError when the client closed."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            return head, await self._chunked()
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        return head, await self.reader.readexactly(length)

    async def _chunked(self) -> bytes:
        body = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if not size:
                return body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, body: bytes, status: str = "200 OK", extra: bytes = b"") -> None:
        await self.send(
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s" % (status.encode(), len(body), extra, body)
        )

    def abort(self) -> None:
        """Reset the connection instead of closing it."""
        self.writer.transport.abort()


class Upstream:
    """Where the scripted provider listens, and what it has seen."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0
        self.closed_by_client = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Upstream]:
    """Listen on a free loopback port and run ``script`` for every connection until the block ends."""
    tasks: set[asyncio.Task[None]] = set()
    seen = Upstream(0)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(Conversation(reader, writer, seen.connections))
        except (asyncio.IncompleteReadError, ConnectionError):
            seen.closed_by_client.set()
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
