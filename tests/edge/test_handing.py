"""Requests that only the worker answers that holds something, handed on between servers that listen."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.edge.test_server import nothing as nowhere

from penstock.edge import handing as module
from penstock.edge.bridge import Bridge
from penstock.edge.handed import HandedScope
from penstock.edge.handing import Handing
from penstock.edge.server import Dispatcher, Server
from penstock.kernel.seat import Seat
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, Endpoint


class Thing:
    """A holding that whoever is first may take while it is free."""

    name = "thing"
    free = True

    def __init__(self) -> None:
        self.held = False
        self.asked: list[bool] = []

    async def take(self, *, change: bool) -> bool:
        self.asked.append(change)
        if Thing.free:
            Thing.free, self.held = False, True
        return self.held


class Worker:
    """A worker that tells who it is, or what it was sent."""

    def __init__(self, folder: str, index: int) -> None:
        self.thing = Thing()
        self.handing = Handing(Seat(index=index, workers=2, folder=folder, counters=-1, alive=-1, told=-1), [self.thing])
        self.index = index
        self.going = asyncio.Event()
        self.left = asyncio.Event()
        self.stuck_calls = 0
        paths = {"/who": self.who, "/echo": self.echo, "/stream": self.stream, "/file": self.file, "/stuck": self.stuck}
        endpoints = {
            (method, path): Endpoint(
                method=method, path=path, handler=self.handing.through("thing", handler), summary="", describe=undescribed, holding="thing"
            )
            for path, handler in paths.items()
            for method in ("GET", "POST")
        }
        self.dispatcher = Dispatcher(endpoints, Bridge(nowhere, max_body=10))
        self.server = Server(self.dispatcher, host="127.0.0.1", port=0, backlog=16, head_seconds=5)

    async def who(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        protocol.response_bytes(200, [("x-worker", str(self.index))], b"" if self.thing.held else b"not held")

    async def echo(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        body = await protocol()
        handed = isinstance(scope, HandedScope)
        told = [scope.method, scope.path, scope.query_string, scope.scheme, scope.headers.get("x-mine"), scope.headers.get("none"), handed]
        protocol.response_bytes(201, [("x-told", str(told))], body)

    async def stream(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        stream = protocol.response_stream(200, [("x-worker", str(self.index))])
        await stream.send_bytes(b"first ")
        await self.going.wait()
        await stream.send_bytes(b"second")

    async def file(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        protocol.response_file(200, [], __file__)

    async def stuck(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        self.stuck_calls += 1
        self.going.set()
        await protocol()
        await protocol.client_disconnect()
        self.left.set()

    async def start(self) -> None:
        await self.handing.start(self.dispatcher.__rsgi__)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()
        await self.handing.stop()


def undescribed() -> Description:
    raise AssertionError


@pytest.fixture
async def pair() -> AsyncIterator[list[Worker]]:
    Thing.free = True
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        made = [Worker(folder, n) for n in range(2)]
        for one in made:
            await one.start()
        yield made
        for one in made:
            await one.stop()


async def said(worker: Worker, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with aiohttp.ClientSession() as session, session.request(method, worker.server.url + path, data=body, headers=headers) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read()


async def test_whoever_is_asked_first_takes_it_and_answers_for_the_other(pair: list[Worker]) -> None:
    holder, other = pair
    assert (await said(holder, "GET", "/who"))[1]["x-worker"] == "0"
    for _ in range(3):
        status, headers, body = await said(other, "GET", "/who")
        assert (status, headers["x-worker"], body) == (200, "0", b"")
    assert (other.handing.handed, other.thing.asked, holder.thing.asked) == (3, [], [False])


async def test_a_request_arrives_as_it_was_sent(pair: list[Worker]) -> None:
    holder, other = pair
    holder.thing.held = True
    sent = b"\0body" * 200_000
    status, headers, body = await said(other, "POST", "/echo?a=b%20c", sent, **{"x-mine": "yes"})
    assert (status, body) == (201, sent)
    assert headers["x-told"] == "['POST', '/echo', 'a=b%20c', 'http', 'yes', None, True]"
    assert (await said(other, "GET", "/file"))[2].startswith(b'"""Requests that only')


async def test_a_stream_is_passed_on_as_it_comes(pair: list[Worker]) -> None:
    holder, other = pair
    holder.thing.held = True
    async with aiohttp.ClientSession() as session, session.get(f"{other.server.url}/stream") as answer:
        assert await answer.content.readexactly(6) == b"first "
        holder.going.set()
        assert await answer.content.read() == b"second"


async def test_the_holder_sees_that_the_client_has_left(pair: list[Worker]) -> None:
    holder, other = pair
    holder.thing.held = True
    asking = asyncio.create_task(said(other, "GET", "/stuck"))
    async with asyncio.timeout(10):
        await holder.going.wait()
        asking.cancel()
        await holder.left.wait()


async def test_a_holder_that_ends_is_followed_by_whoever_is_asked(pair: list[Worker]) -> None:
    holder, other = pair
    holder.thing.held = True
    changing, reading = asyncio.create_task(said(other, "POST", "/stuck", b"x")), asyncio.create_task(said(other, "GET", "/stuck"))
    async with asyncio.timeout(10):
        while holder.stuck_calls < 2:
            await asyncio.sleep(0)
        # What ends with it: a change, of which nobody knows whether it was done, and a question, which can be asked again.
        await holder.handing.stop()
        status, headers, body = await changing
        assert (status, headers["retry-after"]) == (503, "1")
        assert b"holds the thing" in body
        await other.going.wait()
    assert other.thing.held
    reading.cancel()
    async with asyncio.timeout(10):
        await other.left.wait()
    assert (await said(other, "POST", "/who"))[1]["x-worker"] == "1"


async def test_what_nobody_here_can_hold_is_answered_as_it_can_be(pair: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEARCH_SECONDS", 0.1)
    Thing.free = False
    for worker in pair:
        status, headers, body = await said(worker, "POST", "/who")
        assert (status, headers["x-worker"], body) == (200, str(worker.index), b"not held")
        assert worker.thing.asked
        assert all(worker.thing.asked)


async def test_an_unknown_holding_is_nobodys(pair: list[Worker]) -> None:
    handler = pair[0].who
    assert pair[0].handing.through("", handler) == handler
    assert not pair[0].handing.knows("")
