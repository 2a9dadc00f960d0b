"""A worker hands a request to the one of its machine that holds what the request needs, and passes the answer on as it comes.

What a request needs its route, page or endpoint declares by the name of a `penstock.kernel.capability.Holding`. A worker that does not hold
it asks the others over Unix sockets in their supervisor's folder, which only their owner can enter; the holder says whether it is the one
before a byte of the body is sent, and runs the same dispatcher, so that keys, sessions, bounds and errors are those of any other request.
Where nobody holds it, whoever was asked takes it. A request that came from another worker is never handed on.

What is said is a length and a MessagePack struct. Both sides close when the client leaves or the worker ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from penstock.kernel.capability import Holding
from penstock.kernel.errors import PenstockError
from penstock.kernel.seat import Seat
from penstock.kernel.web import EdgeProtocol, EdgeScope

_log = logging.getLogger("penstock.handing")

Handler = Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]
Headers = list[tuple[str, str]]

PATIENCE = 1.0
"""Seconds in which a worker must say whether it holds what is asked for; one that is stuck is passed over."""

SEARCH_SECONDS = 2.0
"""For how long a holder is looked for that has just begun and does not listen yet, before the request is answered here as it can be."""

SEARCH_AGAIN = 0.05
LINGER = 5.0
"""Seconds that the holder waits for the other side to have read everything and to close."""

LARGEST = 64 * 1024 * 1024
AHEAD = 8
"""Pieces of a body that the holder takes in before its handler reads them."""

_LENGTH = struct.Struct("=I")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class _Head(Struct, tag="head", kw_only=True):
    holding: str
    proto: str
    http_version: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None
    headers: Headers


class _Piece(Struct, tag="piece"):
    data: bytes


class _End(Struct, tag="end"):
    pass


class _Accepted(Struct, tag="accepted"):
    pass


class _Refused(Struct, tag="refused"):
    pass


class _Whole(Struct, tag="whole"):
    """A complete answer; of a file's content where there is one."""

    status: int
    headers: Headers
    body: bytes | None = None
    file: str | None = None


class _Began(Struct, tag="began"):
    status: int
    headers: Headers


_Word = _Head | _Piece | _End | _Accepted | _Refused | _Whole | _Began
_decoder: msgspec.msgpack.Decoder[_Word] = msgspec.msgpack.Decoder(_Word)


class HandedHeaders:
    """`EdgeHeaders` of a handed request."""

    def __init__(self, given: Headers) -> None:
        self._given = given

    def get(self, key: str, default: str | None = None) -> str | None:
        return next((value for name, value in self._given if name == key), default)

    def items(self) -> Headers:
        return self._given

    def keys(self) -> list[str]:
        return [name for name, _ in self._given]


class HandedScope:
    """`EdgeScope` of a request that another worker was asked."""

    def __init__(self, head: _Head) -> None:
        self.proto = head.proto
        self.http_version = head.http_version
        self.client = head.client
        self.scheme = head.scheme
        self.method = head.method
        self.path = head.path
        self.query_string = head.query_string
        self.authority = head.authority
        self.headers = HandedHeaders(head.headers)


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
        head = _Head(
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
                    _say(writer, head)
                    if isinstance(await _hear(reader), _Accepted):
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
            first = await _hear(reader)
            if isinstance(first, _Whole):
                if first.file is not None:
                    protocol.response_file(first.status, first.headers, first.file)
                else:
                    protocol.response_bytes(first.status, first.headers, first.body or b"")
            elif isinstance(first, _Began):
                began = True
                stream = protocol.response_stream(first.status, first.headers)
                while isinstance(word := await _hear(reader), _Piece):
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
                head = await _hear(reader)
            holding = self._holdings.get(head.holding) if isinstance(head, _Head) else None
            if not isinstance(head, _Head) or holding is None or not holding.held or self._answer is None:
                _say(writer, _Refused())
                return
            _say(writer, _Accepted())
            protocol = HandedProtocol(reader, writer)
            try:
                await self._answer(HandedScope(head), protocol)
                if protocol.streaming:
                    _say(writer, _End())
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


class HandedProtocol:
    """`EdgeProtocol` of a handed request: reads what the other worker sends, and tells it the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)
        self._gone = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._ended = False
        self.streaming = False

    async def __call__(self) -> bytes:
        return b"".join([piece async for piece in self])

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._body()

    async def client_disconnect(self) -> None:
        """Return when the other worker has closed: its client has left, or it has ended."""
        await self._gone.wait()

    def response_empty(self, status: int, headers: Headers) -> None:
        self.response_bytes(status, headers, b"")

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        _say(self._writer, _Whole(status, headers, body=body))

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        _say(self._writer, _Whole(status, headers, file=file))

    def response_stream(self, status: int, headers: Headers) -> HandedProtocol:
        self.streaming = True
        _say(self._writer, _Began(status, headers))
        return self

    async def send_bytes(self, data: bytes) -> None:
        """A piece of a streamed answer; raises when the other worker is gone."""
        if self._gone.is_set():
            raise RuntimeError("the other worker is gone")  # RSGI's word for a client that left
        _say(self._writer, _Piece(bytes(data)))
        await self._writer.drain()

    def close(self) -> None:
        """Read no more."""
        self._reading.cancel()

    async def _body(self) -> AsyncGenerator[bytes]:
        while not self._ended:
            piece = await self._pieces.get()
            if piece is None:
                self._ended = True
                if self._gone.is_set():
                    raise ConnectionResetError("the client left before its body was complete")
                return
            yield piece

    async def _read(self) -> None:
        whole = False
        try:
            while True:
                word = await _hear(self._reader)
                if isinstance(word, _Piece):
                    await self._pieces.put(word.data)
                elif isinstance(word, _End):
                    whole = True
                    await self._pieces.put(None)
        except (OSError, EOFError, msgspec.DecodeError):
            self._gone.set()
            if not whole:
                await self._pieces.put(None)


async def _upward(protocol: EdgeProtocol, writer: asyncio.StreamWriter, gone: asyncio.Event, *, body: bool) -> None:
    """Send the client's body to the holder; close when the client leaves. A question is sent without a body: it may be asked again."""
    try:
        if body:
            async for piece in protocol:
                _say(writer, _Piece(bytes(piece)))
                await writer.drain()
        _say(writer, _End())
        await writer.drain()
    except OSError:
        return  # the holder has ended, which whoever waits for its answer finds out as well
    await protocol.client_disconnect()
    gone.set()
    writer.close()


def _lost(name: str) -> bytes:
    said = f"the worker that holds the {name} ended while it was asked; another takes over, see what was done and try again"
    return msgspec.json.encode({"error": {"code": "unavailable", "message": said, "param": None}})


def _say(writer: asyncio.StreamWriter, word: Any) -> None:
    body = msgspec.msgpack.encode(word)
    writer.write(_LENGTH.pack(len(body)) + body)


async def _hear(reader: asyncio.StreamReader) -> _Word:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > LARGEST:
        raise OSError("more than another worker says")
    return _decoder.decode(await reader.readexactly(length))
