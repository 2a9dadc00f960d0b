"""What two workers say to each other about a request, over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from penstock.edge import handed as module
from penstock.edge.handed import Began, End, HandedProtocol, HandedScope, Head, Piece, Whole, Word, hear, say

Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def sides() -> AsyncGenerator[tuple[Side, Side]]:
    one, other = socket.socketpair()
    made = [await asyncio.open_unix_connection(sock=end) for end in (one, other)]
    try:
        yield made[0], made[1]
    finally:
        for _, writer in made:
            writer.close()


@asynccontextmanager
async def handed() -> AsyncGenerator[tuple[Side, HandedProtocol]]:
    async with sides() as (asker, (reader, writer)):
        protocol = HandedProtocol(reader, writer)
        try:
            yield asker, protocol
        finally:
            protocol.close()


async def told(asker: Side, *words: Word) -> None:
    for word in words:
        say(asker[1], word)
    await asker[1].drain()


async def test_a_body_arrives_whole_and_in_order() -> None:
    async with handed() as (asker, protocol):
        await told(asker, Piece(b"a" * 100_000), Piece(b""), Piece(b"\0b"), End())
        assert await protocol() == b"a" * 100_000 + b"\0b"
        assert [piece async for piece in protocol] == []


async def test_a_body_that_breaks_off_is_no_whole_one() -> None:
    async with handed() as (asker, protocol):
        await told(asker, Piece(b"half"))
        asker[1].close()
        with pytest.raises(ConnectionResetError):
            await protocol()
        await protocol.client_disconnect()
        with pytest.raises(RuntimeError):
            await protocol.send_bytes(b"nobody hears it")


async def test_answers_are_told_as_they_are_given() -> None:
    async with handed() as ((reader, _), protocol):
        protocol.response_empty(204, [("a", "b")])
        protocol.response_file(200, [], "/somewhere")
        await protocol.response_stream(201, []).send_bytes(b"piece")
        said = [await hear(reader) for _ in range(4)]
    assert said == [Whole(204, [("a", "b")], body=b""), Whole(200, [], file="/somewhere"), Began(201, []), Piece(b"piece")]
    assert protocol.streaming


async def test_what_is_too_long_is_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 100)
    async with sides() as (asker, (reader, _)):
        await told(asker, Piece(b"x" * 200))
        with pytest.raises(OSError, match="more than"):
            await hear(reader)


def test_a_head_is_the_request_as_it_came() -> None:
    headers = [("host", "x"), ("a", "1"), ("a", "2")]
    scope = HandedScope(
        Head(
            holding="thing",
            proto="http",
            http_version="1.1",
            client="10.0.0.9:1234",
            scheme="http",
            method="GET",
            path="/v1/runs",
            query_string="a=1",
            authority=None,
            headers=headers,
        )
    )
    assert (scope.method, scope.path, scope.query_string, scope.client) == ("GET", "/v1/runs", "a=1", "10.0.0.9:1234")
    assert (scope.headers.get("a"), scope.headers.get("b"), scope.headers.get("b", "c")) == ("1", None, "c")
    assert (scope.headers.items(), scope.headers.keys()) == (headers, ["host", "a", "a"])
