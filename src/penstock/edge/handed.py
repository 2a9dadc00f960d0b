"""A request that another worker handed over: what the two say to each other, and the request as its holder's dispatcher sees it.

What is said is a length and a MessagePack struct. Both sides close when the client leaves or a worker ends.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator

import msgspec
from msgspec import Struct

Headers = list[tuple[str, str]]

LARGEST = 64 * 1024 * 1024
AHEAD = 8
"""Pieces of a body that the holder takes in before its handler reads them."""

_LENGTH = struct.Struct("=I")


class Head(Struct, tag="head", kw_only=True):
    """A request but for its body; ``holding`` names what whoever answers must hold."""

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


class Piece(Struct, tag="piece"):
    """A part of a body."""

    data: bytes


class End(Struct, tag="end"):
    """A body is complete."""


class Accepted(Struct, tag="accepted"):
    """The holding is held here: the body may come."""


class Refused(Struct, tag="refused"):
    """It is not held here."""


class Whole(Struct, tag="whole"):
    """A complete answer; of a file's content where there is one."""

    status: int
    headers: Headers
    body: bytes | None = None
    file: str | None = None


class Began(Struct, tag="began"):
    """A streamed answer; pieces follow."""

    status: int
    headers: Headers


Word = Head | Piece | End | Accepted | Refused | Whole | Began
_decoder: msgspec.msgpack.Decoder[Word] = msgspec.msgpack.Decoder(Word)


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

    def __init__(self, head: Head) -> None:
        self.proto = head.proto
        self.http_version = head.http_version
        self.client = head.client
        self.scheme = head.scheme
        self.method = head.method
        self.path = head.path
        self.query_string = head.query_string
        self.authority = head.authority
        self.headers = HandedHeaders(head.headers)


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
        say(self._writer, Whole(status, headers, body=body))

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        say(self._writer, Whole(status, headers, file=file))

    def response_stream(self, status: int, headers: Headers) -> HandedProtocol:
        self.streaming = True
        say(self._writer, Began(status, headers))
        return self

    async def send_bytes(self, data: bytes) -> None:
        """A piece of a streamed answer; raises when the other worker is gone."""
        if self._gone.is_set():
            raise RuntimeError("the other worker is gone")  # RSGI's word for a client that left
        say(self._writer, Piece(bytes(data)))
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
                word = await hear(self._reader)
                if isinstance(word, Piece):
                    await self._pieces.put(word.data)
                elif isinstance(word, End):
                    whole = True
                    await self._pieces.put(None)
        except (OSError, EOFError, msgspec.DecodeError):
            self._gone.set()
            if not whole:
                await self._pieces.put(None)


def say(writer: asyncio.StreamWriter, word: Word) -> None:
    """Say one thing."""
    body = msgspec.msgpack.encode(word)
    writer.write(_LENGTH.pack(len(body)) + body)


async def hear(reader: asyncio.StreamReader) -> Word:
    """The next thing that is said. OSError or EOFError when the other is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > LARGEST:
        raise OSError("more than another worker says")
    return _decoder.decode(await reader.readexactly(length))
