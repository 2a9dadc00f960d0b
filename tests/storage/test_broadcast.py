"""Words between processes over a real server, which may go away and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.conftest import ValkeyServer

from penstock.storage import broadcast as module
from penstock.storage.broadcast import ValkeyBroadcast


class Nearby:
    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []

    def hear(self, topic: str, handler: Callable[[bytes], None]) -> None:
        assert topic == "news"

    def tell(self, topic: str, body: bytes) -> None:
        self.said.append((topic, body))


@asynccontextmanager
async def process(url: str, heard: list[bytes], nearby: Nearby | None = None) -> AsyncGenerator[ValkeyBroadcast]:
    made = ValkeyBroadcast(url, nearby)
    made.hear("news", heard.append)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not look():
            await asyncio.sleep(0.005)


async def test_the_others_hear_it_and_who_said_it_does_not(valkey: str) -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    async with process(valkey, first) as one, process(valkey, second) as other:
        await until(lambda: one.up and other.up)
        one.tell("news", b"a\0b")
        other.tell("news", b"c")
        await until(lambda: bool(first and second))
    assert (first, second) == ([b"c"], [b"a\0b"])


async def test_without_the_server_those_nearby_hear_it(valkey: str, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.02)
    heard: list[bytes] = []
    nearby = Nearby()
    async with process(valkey, [], nearby) as one, process(valkey, heard) as other:
        await until(lambda: one.up and other.up)
        one.tell("news", b"before")
        await until(lambda: heard == [b"before"])
        assert nearby.said == []
        valkey_server.stop()
        try:
            await until(lambda: not one.up and not other.up)
            one.tell("news", b"meanwhile")
            assert nearby.said == [("news", b"meanwhile")]
        finally:
            valkey_server.start()
        await until(lambda: one.up and other.up)
        one.tell("news", b"after")
        await until(lambda: heard == [b"before", b"after"])
