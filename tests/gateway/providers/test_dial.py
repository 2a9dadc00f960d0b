from __future__ import annotations

import socket

import pytest
from tests.gateway.upstream import Conversation, serving
from websockets.asyncio.server import ServerConnection, serve

from penstock.gateway.client import Origin
from penstock.gateway.providers.dial import dial
from penstock.gateway.providers.provider import Declined
from penstock.gateway.settings import RealtimeSettings
from penstock.kernel.errors import UpstreamMalformed, UpstreamUnreachable

LIMITS = RealtimeSettings()
HEADERS = [("authorization", "Bearer sk"), ("user-agent", "penstock")]


async def test_a_session() -> None:
    async def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.path == "/v1/realtime?model=m"
        assert connection.request.headers["authorization"] == "Bearer sk"
        assert connection.request.headers["user-agent"] == "penstock"
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        found = await dial("p", Origin(f"http://127.0.0.1:{port}"), "/v1/realtime?model=m", HEADERS, 0.5, LIMITS)
        assert not isinstance(found, Declined)
        await found.send("hi")
        assert await found.recv() == "hi"
        await found.close()


async def test_declined_with_its_words() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.json(b'{"error": {"message": "no"}}', "429 Too Many", b"retry-after: 9\r\nconnection: close\r\n")

    async with serving(script) as upstream:
        found = await dial("p", Origin(upstream.url), "/v1/realtime", HEADERS, 0.5, LIMITS)
    assert isinstance(found, Declined)
    assert (found.status, found.header("Retry-After"), await found.read(100)) == (429, "9", b'{"error": {"message": "no"}}')
    assert [chunk async for chunk in found.chunks()] == [await found.read(100)]
    found.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none(answer: bytes) -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.reader.read()

    async with serving(script) as upstream:
        with pytest.raises(UpstreamMalformed):
            await dial("p", Origin(upstream.url), "/v1/realtime", HEADERS, 0.5, LIMITS)


async def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(UpstreamUnreachable, match="cannot connect"):
            await dial("p", Origin(f"http://127.0.0.1:{port}"), "/", HEADERS, 20, LIMITS)


async def test_a_handshake_that_does_not_end() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.reader.read()

    async with serving(script) as upstream:
        with pytest.raises(UpstreamUnreachable, match="did not end"):
            await dial("p", Origin(upstream.url), "/", HEADERS, 0.1, LIMITS)


async def test_a_server_without_tls() -> None:
    async def script(peer: Conversation) -> None:
        await peer.reader.read(10)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(script) as upstream:
        with pytest.raises(UpstreamUnreachable, match="TLS failed"):
            await dial("p", Origin(upstream.url.replace("http", "https")), "/", HEADERS, 20, LIMITS)
