"""Connections to real servers: a process, and HTTP behind an authorization server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.agents.toolbox.tickets import bound, guarded, served
from tests.agents.toolbox.tickets import tickets as made

from penstock.agents.toolbox import McpServer, OAuth
from penstock.agents.toolbox.mcp_client import Connection, Lost, Overlong, Refused
from penstock.kernel.errors import SettingsError

SERVER = Path(__file__).with_name("tickets.py")


def tickets(**terms: object) -> McpServer:
    return McpServer(**{"name": "tickets", "command": (sys.executable, str(SERVER)), "seconds": 80.0} | terms)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(120)  # each start of the SDK takes seconds of a busy machine
async def test_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", "hidden-word")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-servers")
    connection = Connection(tickets(env={"TICKETS_TOKEN": "env:THE_TOKEN"}))
    assert not connection.open
    assert [one["name"] for one in await connection.tools()] == ["find", "label", "close", "tell", "wait"]
    assert await connection.call("find", {"number": 3}, "k") == {"number": 3, "token": "hidden-word", "key": ""}
    with pytest.raises(Refused, match="close"):
        await connection.call("close", {"number": 404}, "k")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.call("wait", {}, "k"), 0.3)
    assert connection.open
    with pytest.raises(Lost, match="broke") as caught:  # it dies while it is at it
        await connection.call("close", {"number": 13}, "k")
    assert caught.value.sent
    assert await connection.call("close", {"number": 5}, "k") == {"result": "closed"}  # made anew
    small = Connection(tickets(read_bytes=65_536))
    assert len((await small.call("tell", {"size": 10_000}, "k"))["result"]) == 10_000
    with pytest.raises(Overlong, match="more than 65536 bytes"):
        await small.call("tell", {"size": 70_000}, "k")
    assert not small.open
    await asyncio.gather(small.close(), connection.close())
    assert not connection.open


@pytest.mark.timeout(120)
async def test_signing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_SECRET", "hidden-word")
    async with guarded() as (url, issuer):

        def server(**terms: str) -> McpServer:
            oauth = {"issuer": issuer.url, "client_id": "desk", "client_secret": "env:DESK_SECRET", "scope": "tickets"} | terms
            return McpServer(name="tickets", url=url, oauth=OAuth(**oauth), seconds=80.0)

        connection = Connection(server())
        assert (await connection.call("find", {"number": 3}, "k"))["number"] == 3
        assert issuer.asked == [{"grant_type": "client_credentials", "resource": url, "scope": "tickets"}]
        issuer.live.clear()  # as when it was revoked: another one is asked for
        assert (await connection.call("find", {"number": 4}, "k"))["number"] == 4
        assert len(issuer.asked) == 2
        await connection.close()
        idle = Connection(server(), idle=0.1)
        await idle.tools()
        async with asyncio.timeout(20):
            while idle.open:
                await asyncio.sleep(0.02)
        for wrong in (server(client_id="stranger"), server(issuer="http://127.0.0.1:1")):
            with pytest.raises(Refused, match="sign-in") as caught:
                await Connection(wrong).tools()
            assert "hidden-word" not in str(caught.value)
        with pytest.raises((Lost, Refused)):
            await Connection(McpServer(name="tickets", url=url, seconds=80.0)).tools()


async def test_pages_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always says there is more, and never a tool."""
    from mcp.server.lowlevel import Server
    from mcp.types import ListToolsResult

    monkeypatch.setattr("penstock.agents.toolbox.mcp_client.MOST_TOOLS", 5)
    asked = 0

    async def more(*_: object) -> ListToolsResult:
        nonlocal asked
        asked += 1
        return ListToolsResult(tools=[], next_cursor=str(asked))

    held = bound()
    url = f"http://127.0.0.1:{held.getsockname()[1]}/mcp"
    async with served(Server("endless", on_list_tools=more).streamable_http_app(), held):
        connection = Connection(McpServer(name="endless", url=url, seconds=25.0), idle=0.1)
        with pytest.raises(Refused, match="more than 5"):
            await connection.tools()
        assert asked == 6
        async with asyncio.timeout(20):
            while connection.open:
                await asyncio.sleep(0.02)
        with pytest.raises(Refused, match="more than 5"):  # after a rest, over a new connection
            await connection.tools()
        await connection.close()


@pytest.mark.parametrize("whole", [True, False])
async def test_answers_without_end(whole: bool) -> None:
    """Over HTTP, as JSON and as a stream of events: what is longer than is read is not read, and the next call works."""
    held = bound()
    url = f"http://127.0.0.1:{held.getsockname()[1]}/mcp"
    async with served(made().streamable_http_app(json_response=whole), held):
        connection = Connection(McpServer(name="tickets", url=url, seconds=25.0, read_bytes=65_536))
        with pytest.raises(Overlong, match="more than 65536 bytes"):
            await connection.call("tell", {"size": 10_000_000}, "k")
        assert len((await connection.call("tell", {"size": 1000}, "k"))["result"]) == 1000
        await connection.close()


async def test_no_answer_in_time() -> None:
    held = bound()
    url = f"http://127.0.0.1:{held.getsockname()[1]}/mcp"
    async with served(made().streamable_http_app(), held):
        await Connection(McpServer(name="tickets", url=url, seconds=25.0)).tools()
        connection = Connection(McpServer(name="tickets", url=url, seconds=1.0))
        with pytest.raises(Lost, match="did not answer within 1 s") as caught:
            await connection.call("wait", {}, "k")
        assert caught.value.sent
        await connection.close()


async def test_a_program_that_babbles() -> None:
    """One that never ends its line is ended, and so is what it started."""
    child = "import os, sys; os.fork(); sys.stdout.write('x' * 200_000)\nwhile True: sys.stdout.write('x' * 65536)"
    connection = Connection(McpServer(name="babbler", command=(sys.executable, "-c", child), seconds=25.0, read_bytes=65_536))
    with pytest.raises(Overlong):
        await connection.tools()
    await connection.close()


async def test_not_there() -> None:
    with pytest.raises(Refused, match="cannot be started"):
        await Connection(tickets(command=("/no/such/program",))).tools()
    with pytest.raises(Lost, match="cannot be reached") as caught:
        await Connection(McpServer(name="x", url="http://127.0.0.1:1/mcp")).tools()
    assert not caught.value.sent


def test_declared_wrongly() -> None:
    with pytest.raises(ValueError, match="one of both"):
        McpServer(name="x")
    with pytest.raises(SettingsError, match="give env:NAME"):
        OAuth(issuer="https://a.example", client_id="a", client_secret="plain-word")
