from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.upstream import Conversation, Script, Upstream, serving

from penstock.gateway.client import HIGH_WATER, Client, Origin
from penstock.kernel.errors import DeadlineExceeded, SettingsError, UpstreamMalformed, UpstreamReset, UpstreamUnreachable

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: test\r\n"
LIMIT = 1 << 20
LONG_HEAD = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n"


@asynccontextmanager
async def client_of(script: Script, **options: float) -> AsyncIterator[tuple[Client, Upstream]]:
    async with serving(script) as upstream:
        client = Client(Origin(upstream.url), **options)  # type: ignore[arg-type]
        try:
            yield client, upstream
        finally:
            await client.close()


async def post(client: Client, body: bytes = b"{}", timeout: float = 4.0) -> tuple[int, bytes]:
    answer = await client.request(HEAD, body, timeout=timeout)
    return answer.status, await answer.read(LIMIT)


async def test_a_connection_serves_many_requests() -> None:
    async def echo(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            await peer.json(body)

    async with client_of(echo) as (client, upstream):
        for i in range(20):
            assert await post(client, b'{"i":%d}' % i) == (200, b'{"i":%d}' % i)
        assert upstream.connections == 1


async def test_two_requests_at_once_never_see_each_others_reply() -> None:
    async def echo(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            await peer.json(body)

    async with client_of(echo, max_connections=8) as (client, upstream):
        replies = await asyncio.gather(*(post(client, str(i).encode()) for i in range(300)))
        assert [body for _, body in replies] == [str(i).encode() for i in range(300)]
        assert upstream.connections <= 8


async def test_a_chunked_reply_and_one_that_ends_with_the_connection() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    async with client_of(script) as (client, _):
        assert await post(client) == (200, b"abcde")
        assert await post(client) == (200, b"until the end")


async def test_an_informational_head_is_skipped() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await peer.json(b"{}", "201 Created")

    async with client_of(script) as (client, _):
        assert await post(client) == (201, b"{}")


async def test_a_connection_closed_while_idle_is_replaced_once() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.json(b"first")
        if peer.number == 1:
            await peer.request()
            peer.abort()
        else:
            await asyncio.Event().wait()

    async with client_of(script) as (client, upstream):
        assert await post(client) == (200, b"first")
        assert await post(client) == (200, b"first")
        assert upstream.connections == 2


async def test_a_fresh_connection_that_breaks_is_not_tried_again() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.abort()

    async with client_of(script) as (client, upstream):
        with pytest.raises(UpstreamReset):
            await post(client)
        assert upstream.connections == 1


async def test_half_a_body_is_a_reset_not_a_reply() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")

    async with client_of(script) as (client, _):
        with pytest.raises(UpstreamReset, match="inside the reply"):
            await post(client)


async def test_half_a_chunked_stream_is_a_reset_after_what_came() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde")

    async with client_of(script) as (client, _):
        answer = await client.request(HEAD, b"", timeout=4)
        got = b""

        async def read() -> None:
            nonlocal got
            async for part in answer.chunks():
                got += part

        with pytest.raises(UpstreamReset):
            await read()
        assert got in (b"abc", b"abcde")


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", LONG_HEAD])
async def test_what_is_not_http_is_malformed(reply: bytes) -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(reply)
        await asyncio.Event().wait()

    async with client_of(script) as (client, _):
        with pytest.raises(UpstreamMalformed):
            await post(client)


async def test_a_reply_that_never_begins_ends_at_the_deadline() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.request()

    async with client_of(script) as (client, upstream):
        with pytest.raises(DeadlineExceeded):
            await post(client, timeout=0.05)
        await upstream.closed_by_client.wait()


async def test_a_stream_that_pauses_for_too_long_ends() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await peer.request()

    async with client_of(script) as (client, _):
        answer = await client.request(HEAD, b"", timeout=4, idle_timeout=0.05)

        async def read() -> None:
            async for _ in answer.chunks():
                pass

        with pytest.raises(DeadlineExceeded, match=r"nothing came for 0\.05 s"):
            await read()


async def test_a_longer_reply_than_allowed_is_refused_and_not_buffered() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    async with client_of(script) as (client, _):
        answer = await client.request(HEAD, b"", timeout=4)
        with pytest.raises(UpstreamMalformed, match="max_reply_bytes"):
            await answer.read(200_000)


async def test_a_slow_reader_holds_the_provider_back() -> None:
    sent = 0
    stalled = asyncio.Event()

    async def script(peer: Conversation) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            try:
                async with asyncio.timeout(0.3):
                    await peer.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            except TimeoutError:
                stalled.set()
                raise ConnectionError from None
            sent += 0x10000

    async with client_of(script) as (client, _):
        answer = await client.request(HEAD, b"", timeout=4)
        source = answer.chunks()
        assert await anext(source)
        await stalled.wait()
        assert answer._connection._buffered < 4 * HIGH_WATER
        await source.aclose()  # type: ignore[attr-defined]


async def test_leaving_a_stream_closes_it_at_the_provider() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await peer.request()

    async with client_of(script) as (client, upstream):
        answer = await client.request(HEAD, b"", timeout=4)
        assert await anext(answer.chunks()) == b"abc"
        answer.close()
        await upstream.closed_by_client.wait()


async def test_cancelling_a_request_closes_it_at_the_provider() -> None:
    asked = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        asked.set()
        await peer.request()

    async with client_of(script) as (client, upstream):
        waiting = asyncio.ensure_future(post(client))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await upstream.closed_by_client.wait()


async def test_nobody_there_is_unreachable_and_frees_the_place() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = Client(Origin(f"http://127.0.0.1:{free.getsockname()[1]}"), max_connections=1)
        for _ in range(3):
            with pytest.raises(UpstreamUnreachable, match=r"Connection refused|Connect call failed"):
                await post(client)


async def test_when_all_connections_stay_busy_the_deadline_ends_the_wait() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        await peer.request()

    async with client_of(script, max_connections=1) as (client, _):
        busy = asyncio.ensure_future(post(client))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded, match="all 1 connections"):
            await post(client, timeout=0.05)
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=12), body=st.binary(max_size=300))
def test_how_the_bytes_are_cut_changes_nothing(cuts: list[int], body: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    places = sorted({min(c, len(data)) for c in cuts} | {0, len(data)})

    async def script(peer: Conversation) -> None:
        await peer.request()
        for start, end in itertools.pairwise(places):
            await peer.send(data[start:end])
            await asyncio.sleep(0)
        await peer.request()

    async def run() -> None:
        async with client_of(script) as (client, _):
            answer = await client.request(HEAD, b"", timeout=4)
            assert answer.header("X-A") == "b"
            assert await answer.read(LIMIT) == body

    asyncio.run(run())


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "nonsense", "https:///path"])
def test_an_origin_must_be_an_address(url: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        Origin(url)


def test_an_origin_names_its_authority() -> None:
    assert Origin("https://api.example.com/v1/").authority == "api.example.com"
    assert Origin("http://127.0.0.1:8000").authority == "127.0.0.1:8000"
    assert Origin("http://[::1]:80/v1").authority == "[::1]"
