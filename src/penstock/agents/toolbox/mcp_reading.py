"""What an MCP server says, read no further than a limit: the SDK's own transports read a whole line, or a whole body, into memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any

import httpx2
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from penstock.logs import redact

LEAVE_SECONDS = 2.0
"""How long a program may take to end by itself once its input is closed, and again once it is asked to."""
PIECE = 65_536


class Bounded(httpx2.AsyncBaseTransport):
    """Reads answers of HTTP up to ``most`` bytes; of a stream that only listens each event is bounded, by whoever reads it. ``over`` is
    told when there is more. Nothing is compressed: a little of that can be a lot."""

    def __init__(self, most: int, over: Callable[[], None]) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self._most = most
        self._over = over

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        listening = request.method == "GET" and response.headers.get("content-type", "").startswith("text/event-stream")
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for", request=request)
        if not listening and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Counted(response.stream, self._most, self._over)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, most: int, over: Callable[[], None]) -> None:
        self._inner = inner
        self._left = most
        self._over = over

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._left -= len(piece)
            if self._left < 0:
                self._over()
                raise httpx2.ReadError("more was answered than is read")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def program(
    command: Sequence[str], env: Mapping[str, str], folder: str, log: IO[str], most: int, over: Callable[[], None]
) -> AsyncGenerator[tuple[Any, Any]]:
    """A program that is spoken to over its standard input and output, a line for each message, as a transport of the SDK. A line has at
    most ``most`` bytes; ``over`` is told of one that has more. It is ended with all that it started. Raises OSError."""
    import anyio  # with the SDK

    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env=get_default_environment() | dict(env),
        cwd=folder or None,
        start_new_session=True,
    )
    heard_in, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    said, said_out = anyio.create_memory_object_stream[SessionMessage](0)
    assert process.stdin is not None
    assert process.stdout is not None
    tasks = [asyncio.create_task(_hear(process.stdout, heard_in, most, over)), asyncio.create_task(_say(process.stdin, said_out, heard_in))]
    try:
        yield heard, said
    finally:
        for task in tasks:
            task.cancel()
        # A caller that gives up must not leave the program behind.
        await asyncio.shield(asyncio.create_task(_ended(process, tasks)))
        for stream in (heard_in, heard, said, said_out):
            stream.close()


async def _hear(stdout: asyncio.StreamReader, heard: Any, most: int, over: Callable[[], None]) -> None:
    import anyio  # with the SDK

    waiting = bytearray()
    with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
        async with heard:
            while piece := await stdout.read(PIECE):
                *lines, rest = piece.split(b"\n")
                for line in lines:
                    await heard.send(_message(bytes(waiting + line)))
                    waiting.clear()
                waiting += rest
                if len(waiting) > most:
                    over()
                    return


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as fault:
        return ValueError(redact(str(fault))[:300])


async def _say(stdin: asyncio.StreamWriter, said: Any, heard: Any) -> None:
    import anyio  # with the SDK

    try:
        async with said:
            async for one in said:
                stdin.write(one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                await stdin.drain()
    except (ConnectionError, anyio.ClosedResourceError, anyio.BrokenResourceError):
        await heard.aclose()  # whoever waits for an answer learns that none will come


async def _ended(process: asyncio.subprocess.Process, tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    assert process.stdin is not None
    process.stdin.close()
    for ask in (None, signal.SIGTERM, signal.SIGKILL):
        if ask is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, ask)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await _drained(process)
                break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what it has left behind


async def _drained(process: asyncio.subprocess.Process) -> None:
    """Wait until it has ended; one that is stuck writing would not."""
    assert process.stdout is not None
    while await process.stdout.read(PIECE):
        pass
    await process.wait()
