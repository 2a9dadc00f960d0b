"""The official MCP client, in both of its ways to connect, against a house with agents in memory.

It wants an environment of its own (``make test-compatibility``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.interop.conftest import Stand, stand

pytest.importorskip("mcp", reason="make test-compatibility installs it")

import httpx2
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult, TextContent

__all__ = ["stand"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore")]
MODES = ["legacy", "2026-07-28"]


@asynccontextmanager
async def client(stand: Stand, mode: str = "auto", key: str | None = None, **more: Any) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {stand.house.admin if key is None else key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{stand.house.url}/mcp", http_client=http), mode=mode, **more) as made,
    ):
        yield made


def text(result: CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, TextContent)
    return part.text


async def test_auto_finds_the_newest(stand: Stand) -> None:
    async with client(stand) as mcp:
        assert mcp.session.protocol_version == "2026-07-28"


@pytest.mark.parametrize("mode", MODES)
async def test_tools_and_calls(stand: Stand, mode: str) -> None:
    async with client(stand, mode) as mcp:
        found = {tool.name: tool for tool in (await mcp.list_tools()).tools}
        assert {"agent_desk", "agent_report", "run_result", "task_greet_people"} <= set(found)
        desk = found["agent_desk"].annotations
        assert desk is not None
        assert (desk.read_only_hint, desk.destructive_hint) == (False, True)
        told: list[tuple[float, str | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, message))

        result = await mcp.call_tool("agent_desk", {"input": "hello you"}, progress_callback=progress)
        assert isinstance(result, CallToolResult)
        assert (text(result), result.structured_content, result.is_error) == (
            "You said: hello you",
            {"result": "You said: hello you"},
            False,
        )
        assert [done for done, _ in told] == [1, 2, 3]
        report = await mcp.call_tool("agent_report", {"year": 2026})
        assert isinstance(report, CallToolResult)
        assert report.structured_content == {"pages": 26}
        bad = await mcp.call_tool("agent_report", {"year": "soon"})
        assert isinstance(bad, CallToolResult)
        assert bad.is_error
        assert "year" in text(bad)
        failed = await mcp.call_tool("agent_desk", {"input": "fail me"})
        assert isinstance(failed, CallToolResult)
        assert text(failed) == "insufficient_quota: no money"
        with pytest.raises(MCPError, match="no tool"):
            await mcp.call_tool("agent_nobody", {})


async def test_an_approval_is_elicited(stand: Stand) -> None:
    asked: list[ElicitRequestParams] = []

    async def approve(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params)
        return ElicitResult(action="accept", content={"approve": True, "note": "fine"})

    async with client(stand, "2026-07-28", elicitation_callback=approve) as mcp:
        result = await mcp.call_tool("agent_desk", {"input": "refund 9"})
        assert isinstance(result, CallToolResult)
        assert text(result) == "Finished."
        assert len(asked) == 1
        assert "SHA-256" in asked[0].message
        held = await mcp.session.call_tool("agent_desk", {"input": "question 1"}, allow_input_required=True)
        assert isinstance(held, InputRequiredResult)


@pytest.mark.parametrize("mode", MODES)
async def test_who_cannot_be_asked_is_told_the_run(stand: Stand, mode: str) -> None:
    async with client(stand, mode) as mcp:
        result = await mcp.call_tool("agent_desk", {"input": "question two"})
        assert isinstance(result, CallToolResult)
        assert result.is_error
        assert result.meta is not None
        run = result.meta["penstock/run"]
        stand.runs.runs[run].answers.append("7")
        stand.runs.runs[run].answered.set()
        while stand.runs.runs[run].ended is None:
            await asyncio.sleep(0.01)
        later = await mcp.call_tool("run_result", {"run": run})
        assert isinstance(later, CallToolResult)
        assert text(later) == "Order 7."


async def test_a_task_walks_the_line(stand: Stand) -> None:
    async with client(stand) as mcp:
        result = await mcp.call_tool("task_greet_people", {"input": "Hello?"})
        assert isinstance(result, CallToolResult)
        assert (text(result), result.is_error) == ("Good day.", False)


async def test_who_has_no_key_does_not_come_in(stand: Stand) -> None:
    with pytest.raises(BaseException) as raised:  # groups of the SDK's own tasks
        async with client(stand, "2026-07-28", key="psk_unknown") as mcp:
            await mcp.list_tools()
    assert "invalid_api_key" in repr(raised.value)
