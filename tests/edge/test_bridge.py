"""ASGI applications behind the real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from yarl import URL

from penstock.edge.bridge import AsgiApp, Bridge
from penstock.edge.server import Dispatcher, Server

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@asynccontextmanager
async def serving(app: AsgiApp, *, max_body: int = 1000) -> AsyncIterator[Server]:
    server = Server(Dispatcher({}, Bridge(app, max_body=max_body)), host="127.0.0.1", port=0, backlog=16, head_seconds=5)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def asking(app: AsgiApp, *, max_body: int = 1000) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    async with serving(app, max_body=max_body) as server, aiohttp.ClientSession() as session:
        yield session, server.url


async def body_of(receive: Receive) -> bytes:
    out = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        out += message["body"]
        if not message["more_body"]:
            return out


async def echo(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Tells what it was asked."""
    told = {name: scope[name] for name in ("type", "method", "path", "http_version", "scheme", "root_path")}
    told["raw_path"], told["query"] = scope["raw_path"].decode(), scope["query_string"].decode()
    told["client"], told["headers"] = scope["client"][0], {n.decode(): v.decode("latin-1") for n, v in scope["headers"]}
    told["body"] = (await body_of(receive)).decode()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"application/json"), (b"x-more", b"a")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with asking(echo) as (session, url):
        address = URL(f"{url}/a%20b/%C3%BC/%F1%8E%AE%A4?x=1&y=%20", encoded=True)
        async with session.post(address, data=b"hello", headers={"x-word": "W"}) as answer:
            told = await answer.json()
            assert (answer.status, answer.headers["x-more"]) == (201, "a")
    assert (told["type"], told["method"], told["scheme"], told["root_path"], told["client"]) == ("http", "POST", "http", "", "127.0.0.1")
    assert (told["path"], told["query"], told["body"]) == ("/a b/ü/\U0004eba4", "x=1&y=%20", "hello")
    assert told["raw_path"].isascii()
    assert told["headers"]["x-word"] == "W"
    assert told["headers"]["host"] == url.removeprefix("http://")


@pytest.mark.parametrize(
    ("sent", "path"),
    [("/a%2541", "/a%41"), ("/a%252Fb", "/a%2Fb"), ("/a%2Fb", "/a/b"), ("/%zz", "/%zz"), ("/%FF", "/\ufffd"), ("/a+b", "/a+b")],
)
async def test_a_path_is_decoded_once(sent: str, path: str) -> None:
    async with asking(echo) as (session, url), session.post(URL(url + sent, encoded=True)) as answer:
        told = await answer.json()
        assert told["path"] == path
        assert unquote(told["raw_path"]) == path


@pytest.mark.parametrize(("size", "status"), [(1000, 201), (1001, 413)])
@pytest.mark.parametrize("declared", [True, False])
async def test_bodies_are_bounded_whether_they_say_their_size_or_not(size: int, status: int, declared: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 300):
            yield b"x" * min(300, size - at)

    async with asking(echo) as (session, url), session.post(url, data=b"x" * size if declared else pieces()) as answer:
        assert answer.status == status
        if status == 413:
            assert (await answer.json())["error"]["code"] == "body_too_large"


async def test_a_fault_of_the_application_is_an_answer_without_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        raise ValueError("secret words")

    async with asking(broken) as (session, url), session.get(f"{url}/there") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (500, "internal_error")
        assert "secret words" not in await answer.text()
    assert "secret words" in caplog.text  # for the operator


async def test_a_stream_is_sent_piece_by_piece() -> None:
    go_on = asyncio.Event()

    async def drip(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with asking(drip) as (session, url), session.get(url) as answer:
        assert await answer.content.readexactly(5) == b"first"
        go_on.set()
        assert await answer.content.read() == b"second"


async def test_an_application_hears_that_its_client_left() -> None:
    left = asyncio.Event()

    async def patient(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await body_of(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with serving(patient) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"begun")
        writer.close()
        async with asyncio.timeout(10):
            await left.wait()
