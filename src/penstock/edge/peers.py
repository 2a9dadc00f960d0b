"""The workers of one machine ask and tell each other over Unix sockets in their supervisor's folder, which only their owner can enter.

A question is one connection: the topic, a zero byte and a body; the answer is the other's body. A worker that is starting, stuck or dead
does not answer in time, and whoever asked goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from penstock.kernel.errors import PenstockError
from penstock.kernel.seat import Seat

_log = logging.getLogger("penstock.peers")

PATIENCE = 1.0
"""Seconds that a worker may take for an answer."""

LARGEST = 64 * 1024 * 1024
_LENGTH = struct.Struct("=I")

Handler = Callable[[bytes], Awaitable[bytes]]


class WorkerPeers:
    """`penstock.kernel.ports.Peers`, as a service."""

    name = "peers"

    def __init__(self, seat: Seat) -> None:
        self.own = seat.index
        self._folder = Path(seat.folder)
        self._others = [index for index in range(seat.workers) if index != seat.index]
        self._handlers: dict[str, Handler] = {}
        self._server: asyncio.Server | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def answer(self, topic: str, handler: Handler) -> None:
        """Answer questions of this topic; one handler each."""
        self._handlers[topic] = handler

    async def ask(self, topic: str, body: bytes = b"") -> Mapping[int, bytes | None]:
        """What each other worker answers, by its seat; None for one that does not."""
        answers = await asyncio.gather(*(self._ask(index, topic, body) for index in self._others))
        return dict(zip(self._others, answers, strict=True))

    def tell(self, topic: str, body: bytes = b"") -> None:
        """Ask and not wait for the answers; from the event loop."""
        task = asyncio.get_running_loop().create_task(self._tell(topic, body))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def start(self) -> None:
        """Listen; what a dead worker left on this seat is replaced."""
        path = self._folder / f"{self.own}.sock"
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path)

    async def stop(self) -> None:
        for task in tuple(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    async def _tell(self, topic: str, body: bytes) -> None:
        await self.ask(topic, body)

    async def _ask(self, index: int, topic: str, body: bytes) -> bytes | None:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._folder / f"{index}.sock")
                try:
                    _send(writer, topic.encode() + b"\0" + body)
                    return await _receive(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                topic, _, body = (await _receive(reader)).partition(b"\0")
                handler = self._handlers.get(topic.decode())
                if handler is not None:
                    _send(writer, await handler(body))
                    await writer.drain()
        except PenstockError as fault:
            _log.warning("a question of another worker was not answered", extra={"fault": fault.message})
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone, or goes on without the answer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class PeerBroadcast:
    """`penstock.kernel.ports.Broadcast` among the workers of one machine."""

    def __init__(self, peers: WorkerPeers) -> None:
        self._peers = peers

    def tell(self, topic: str, body: bytes) -> None:
        """Say it to the others."""
        self._peers.tell(topic, body)

    def hear(self, topic: str, handler: Callable[[bytes], None]) -> None:
        """Be called with what the others say."""

        async def answer(body: bytes) -> bytes:
            handler(body)
            return b""

        self._peers.answer(topic, answer)


def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(_LENGTH.pack(len(body)) + body)


async def _receive(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > LARGEST:
        raise OSError("more than another worker says")
    return await reader.readexactly(length)
