"""The server process: addresses, paths, slow heads, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Any

import pytest

from penstock.edge.bridge import Bridge
from penstock.edge.server import Dispatcher, Server, free_port, is_loopback, until_signal
from penstock.kernel.errors import SettingsError
from penstock.kernel.web import EdgeProtocol, EdgeScope, Endpoint


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"bridge"})


async def answer(scope: EdgeScope, protocol: EdgeProtocol) -> None:
    protocol.response_bytes(200, [("content-type", "text/plain")], f"{scope.method} {scope.path}".encode())


ENDPOINT = Endpoint(method="POST", path="/v1/x", handler=answer, summary="X.", describe=lambda: pytest.fail("nobody asked"))


def server(head_seconds: float = 5, port: int = 0) -> Server:
    dispatcher = Dispatcher({("POST", "/v1/x"): ENDPOINT}, Bridge(nothing, max_body=10))
    return Server(dispatcher, host="127.0.0.1", port=port, backlog=16, head_seconds=head_seconds)


async def raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        ("POST /v1/x", b" 200 ", b"POST /v1/x"),
        ("POST /v1/x?a=b", b" 200 ", b"POST /v1/x"),
        ("GET /v1/x", b" 404 ", b"bridge"),
        ("POST /v1/x/", b" 404 ", b"bridge"),
        ("POST /v1/%78", b" 200 ", b"POST /v1/x"),
        ("POST /v1/%2578", b" 404 ", b"bridge"),
    ],
)
async def test_only_the_exact_method_and_path_go_to_an_endpoint(request_line: str, status: bytes, body: bytes) -> None:
    running = server()
    await running.start()
    found = await raw(running.port, f"{request_line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    await running.stop()
    assert status in found.split(b"\r\n")[0]
    assert found.endswith(body)


async def test_a_head_that_takes_too_long_is_cut_off() -> None:
    running = server(head_seconds=0.2)
    await running.start()
    found = await raw(running.port, b"POST /v1/x HTTP/1.1\r\nhost: x\r\nx-slow: ")
    await running.stop()
    assert b" 200 " not in found


async def test_after_stopping_nobody_answers() -> None:
    running = server()
    await running.start()
    assert running.url == f"http://127.0.0.1:{running.port}"
    await running.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", running.port)


async def test_a_port_that_is_taken_is_said_and_not_shared() -> None:
    running = server()
    await running.start()
    with pytest.raises(SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{running.port}: .*choose another") as caught:
        await server(port=running.port).start()
    assert caught.value.param == "server.port"
    await running.stop()


def test_free_ports() -> None:
    port = free_port("127.0.0.1", 0)
    assert port > 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert free_port("127.0.0.1", port) == port
        with pytest.raises(SettingsError):
            free_port("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(SettingsError, match=r"cannot listen on 203\.0\.113\.1"):
        free_port("203.0.113.1", 8080)  # an address that this machine does not have
    with pytest.raises(SettingsError):
        free_port("no.such.host.invalid", 8080)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("203.0.113.1", False),
        ("::", False),
    ],
)
def test_what_only_this_machine_can_reach(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.0.0.7", "10.0.0.7")])
def test_the_address_that_is_shown_is_one_that_can_be_opened(host: str, shown: str) -> None:
    made = Server(Dispatcher({}, Bridge(nothing, max_body=1)), host=host, port=8080, backlog=1, head_seconds=1)
    assert made.url == f"http://{shown}:8080"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_told(number: signal.Signals) -> None:
    told = asyncio.create_task(until_signal())
    await asyncio.sleep(0)
    try:
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(told, 5) == number.name
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(one)


SECOND = """
import asyncio, os, signal
from penstock.edge.server import until_signal

async def main():
    told = asyncio.create_task(until_signal())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await told
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()  # for ever, unless the second signal ends the process

asyncio.run(main())
"""


async def test_a_second_signal_ends_the_process_at_once() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SECOND)
    assert await asyncio.wait_for(process.wait(), 20) == -signal.SIGTERM


BRIEF = """
import asyncio, sys
from penstock.edge.bridge import Bridge
from penstock.edge.server import Dispatcher, Server

async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def main():
    server = Server(Dispatcher({}, Bridge(nothing, max_body=1)), host="127.0.0.1", port=0, backlog=16, head_seconds=5)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n")
    assert b" 204 " in await reader.read()
    writer.close()
    await server.stop()

asyncio.run(main())
"""


async def test_a_process_that_ends_right_after_stopping_ends_well() -> None:
    # A race: one process in five used to be aborted, so several are asked.
    running = [await asyncio.create_subprocess_exec(sys.executable, "-c", BRIEF) for _ in range(4)]
    assert await asyncio.wait_for(asyncio.gather(*(one.wait() for one in running)), 25) == [0, 0, 0, 0]
