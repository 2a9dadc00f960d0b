"""A worker hands a request to the one of its machine that holds what the request needs, and passes the answer on as it comes.

What a request needs its route, page or endpoint declares by the name of a `penstock.kernel.capability.Holding`. A worker that does not hold
it asks the others over Unix sockets in their supervisor's folder, which only their owner can enter; the holder says whether it is the one
before a byte of the body is sent, and runs the same dispatcher, so that keys, sessions, bounds and errors are those of any other request.
Where nobody holds it, whoever was asked takes it. A request that came from another worker is never handed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from penstock.edge.handed import Accepted, Began, End, HandedProtocol, HandedScope, Head, Piece, Refused, Whole, hear, say
from penstock.kernel.capability import Holding
from penstock.kernel.errors import PenstockError
from penstock.kernel.seat import Seat
from penstock.kernel.web import EdgeProtocol, EdgeScope

_log = logging.getLogger("penstock.handing")

Handler = Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]

PATIENCE = 1.0
"""Seconds in which a worker must say whether it holds what is asked for; one that is stuck is passed over."""

SEARCH_SECONDS = 2.0
"""For how long a holder is looked for that has just begun and does not listen yet, before the request is answered here as it can be."""

SEARCH_AGAIN = 0.05
LINGER = 5.0
"""Seconds that the holder waits for the other side to have read everything and to close."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Handing:
    """Hands requests on and takes them in, for one of several workers."""

    def __init__(self, seat: Seat, holdings: Sequence[Holding]) -> None:
        self._holdings: Mapping[str, Holding] = {one.name: one for one in holdings}
        self._folder = Path(seat.folder)
        self._own = seat.index
        self._others = [index for index in range(seat.workers) if index != seat.index]
        self._found: dict[str, int] = {}
        self._server: asyncio.Server | None = None
        self._taken_in: set[asyncio.Task[None]] = set()
        self._answer: Callable[[EdgeScope, EdgeProtocol], Awaitable[None]] | None = None
        self._stopping = False
        self.handed = 0
        """Requests that were handed on."""

    async def start(self, answer: Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]) -> None:
        """Take in what others hand over, and have ``answer`` answer it; what a dead worker left on this seat is replaced."""
        self._answer = answer
        if self._holdings:
            path = self._path(self._own)
            path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, path)

    async def stop(self) -> None:
        """Take in no more, and break off what still runs."""
        if self._server is not None:
            self._server.close()
        self._stopping = True
        for task in tuple(self._taken_in):
            task.cancel()
        await asyncio.gather(*self._taken_in, return_exceptions=True)

    def knows(self, name: str) -> bool:
        """Whether there is such a holding."""
        return name in self._holdings

    def through(self, name: str, handler: Handler) -> Handler:
        """``handler``, asked here where the holding ``name`` is held or nobody knows of it, else at the worker that holds it."""
        holding = self._holdings.get(name)
        if holding is None:
            return handler

        async def answer(scope: EdgeScope, protocol: EdgeProtocol) -> None:
            if holding.held or isinstance(scope, HandedScope) or not await self._elsewhere(holding, scope, protocol):
                await handler(scope, protocol)

        return answer

    async def _elsewhere(self, holding: Holding, scope: EdgeScope, protocol: EdgeProtocol) -> bool:
        """Whether another worker has answered; where none can, this one takes what is needed if it can be had."""
        change = scope.method not in _SAFE
        loop = asyncio.get_running_loop()
        until = loop.time() + SEARCH_SECONDS
        while True:
            for index in sorted(self._others, key=lambda n: n != self._found.get(holding.name)):
                link = await self._offer(index, holding, scope)
                if link is None:
                    continue
                self._found[holding.name] = index
                if await self._pass_on(link, protocol, change=change):
                    self.handed += 1
                    return True
                if change:
                    # It may have been done: only the caller knows whether it can be asked for again.
                    protocol.response_bytes(503, [("content-type", "application/json"), ("retry-after", "1")], _lost(holding.name))
                    return True
            if await holding.take(change=change) or loop.time() >= until:
                return False
            await asyncio.sleep(SEARCH_AGAIN)

    async def _offer(self, index: int, holding: Holding, scope: EdgeScope) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to a worker that has accepted the request; None when it is not the holder or does not answer."""
        head = Head(
            holding=holding.name,
            proto=scope.proto,
            http_version=scope.http_version,
            client=scope.client,
            scheme=scope.scheme,
            method=scope.method,
            path=scope.path,
            query_string=scope.query_string,
            authority=getattr(scope, "authority", None),
            headers=scope.headers.items(),
        )
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._path(index))
                try:
                    say(writer, head)
                    if isinstance(await hear(reader), Accepted):
                        return reader, writer
                except BaseException:
                    writer.close()
                    raise
                writer.close()
        except (OSError, TimeoutError, EOFError):
            pass  # starting, stuck or dead: as good as one that does not hold it
        return None

    async def _pass_on(self, link: tuple[asyncio.StreamReader, asyncio.StreamWriter], protocol: EdgeProtocol, *, change: bool) -> bool:
        """Send the body, pass the answer on; False when the other worker is lost before it has begun to answer."""
        reader, writer = link
        gone = asyncio.Event()
        upward = asyncio.create_task(_upward(protocol, writer, gone, body=change))
        began = False
        try:
            first = await hear(reader)
            if isinstance(first, Whole):
                if first.file is not None:
                    protocol.response_file(first.status, first.headers, first.file)
                else:
                    protocol.response_bytes(first.status, first.headers, first.body or b"")
            elif isinstance(first, Began):
                began = True
                stream = protocol.response_stream(first.status, first.headers)
                while isinstance(word := await hear(reader), Piece):
                    await stream.send_bytes(word.data)
        except RuntimeError:
            return True  # RSGI's word for a client that left
        except (OSError, EOFError):
            if gone.is_set():
                return True
            if began:
                _log.warning("the worker that answered has ended, and its answer with it")
            return began
        finally:
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)
            writer.close()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._taken_in.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                head = await hear(reader)
            holding = self._holdings.get(head.holding) if isinstance(head, Head) else None
            if not isinstance(head, Head) or holding is None or not holding.held or self._answer is None:
                say(writer, Refused())
                return
            say(writer, Accepted())
            protocol = HandedProtocol(reader, writer)
            try:
                await self._answer(HandedScope(head), protocol)
                if protocol.streaming:
                    say(writer, End())
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        await protocol.client_disconnect()
            finally:
                protocol.close()
        except (OSError, TimeoutError, EOFError, msgspec.DecodeError):
            pass  # whoever asked has gone
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            # Ours: it ends here, or the callback of asyncio's server would log it as a fault.
        except PenstockError as fault:
            _log.warning("a request of another worker was not answered", extra={"fault": fault.message})
        finally:
            self._taken_in.discard(task)
            writer.close()

    def _path(self, index: int) -> Path:
        return self._folder / f"{index}.hand"


async def _upward(protocol: EdgeProtocol, writer: asyncio.StreamWriter, gone: asyncio.Event, *, body: bool) -> None:
    """Send the client's body to the holder; close when the client leaves. A question is sent without a body: it may be asked again."""
    try:
        if body:
            async for piece in protocol:
                say(writer, Piece(bytes(piece)))
                await writer.drain()
        say(writer, End())
        await writer.drain()
    except OSError:
        return  # the holder has ended, which whoever waits for its answer finds out as well
    await protocol.client_disconnect()
    gone.set()
    writer.close()


def _lost(name: str) -> bytes:
    said = f"the worker that holds the {name} ended while it was asked; another takes over, see what was done and try again"
    return msgspec.json.encode({"error": {"code": "unavailable", "message": said, "param": None}})
