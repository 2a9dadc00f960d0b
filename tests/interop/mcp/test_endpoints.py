"""MCP over a real socket, word by word; what the official client makes of it is in tests/compatibility/test_mcp.py."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import msgspec
import pytest
from tests.house import Answer
from tests.interop.conftest import Stand
from tests.interop.scripted import OneRun

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
META = "io.modelcontextprotocol/"
NEW = "2026-07-28"
OLD = "2025-11-25"
TASKS = {"extensions": {META + "tasks": {}}}


def message(method: str, params: dict[str, Any] | None = None, *, can: Any = None, meta: Any = None, id: Any = 1) -> dict[str, Any]:
    """A request of the newest version."""
    envelope = {META + "protocolVersion": NEW, META + "clientCapabilities": can or {}, **(meta or {})}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": {**(params or {}), "_meta": envelope}}


async def post(stand: Stand, body: Any, *, key: str | None = None, accept: str = "application/json", **headers: str) -> Answer:
    if isinstance(body, dict) and "_meta" in body.get("params", {}):
        headers = {"mcp_protocol_version": NEW, "mcp_method": body["method"], **headers}
        if "name" in body["params"]:
            headers.setdefault("mcp_name", body["params"]["name"])
    return await stand.house.ask("POST", "/mcp", body, key=key, accept=accept, **headers)


async def call(stand: Stand, name: str, arguments: Any, **more: Any) -> Any:
    params = {"name": name, "arguments": arguments, **more.pop("params", {})}
    answer = await post(stand, message("tools/call", params, **more))
    assert answer.status == 200, answer.text
    return answer.json["result"]


def newest(stand: Stand) -> OneRun:
    return list(stand.runs.runs.values())[-1]


async def test_discovery_and_the_handshake(stand: Stand) -> None:
    found = (await post(stand, message("server/discover"))).json["result"]
    assert found["supportedVersions"][0] == NEW
    assert found["resultType"] == "complete"
    assert found["_meta"][META + "serverInfo"]["name"] == "penstock"
    hello = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    old = await post(stand, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    assert old.json["result"]["protocolVersion"] == OLD
    assert "mcp-session-id" not in old.headers
    ready = await post(stand, {"jsonrpc": "2.0", "method": "notifications/initialized"}, mcp_protocol_version=OLD)
    assert (ready.status, ready.text) == (202, "")
    assert (await post(stand, {"jsonrpc": "2.0", "id": 2, "method": "ping"})).json["result"] == {}


async def test_tools_are_what_the_key_may_call(stand: Stand) -> None:
    tools = {one["name"]: one for one in (await post(stand, message("tools/list"))).json["result"]["tools"]}
    assert list(tools) == ["agent_desk", "agent_report", "task_greet_people", "run_result"]
    assert tools["agent_desk"]["inputSchema"]["required"] == ["input"]
    assert tools["agent_report"]["inputSchema"]["required"] == ["year"]
    assert tools["agent_report"]["annotations"]["readOnlyHint"] is True
    assert tools["task_greet_people"]["description"] == "Greets."
    stranger, _ = await stand.house.outsider()
    theirs = (await post(stand, message("tools/list"), key=stranger)).json["result"]["tools"]
    assert [one["name"] for one in theirs] == ["task_greet_people"]
    narrow, _ = await stand.house.key(tasks=["other*"])
    assert "task_greet_people" not in (await post(stand, message("tools/list"), key=narrow)).text


async def test_the_same_key_is_the_same_run(stand: Stand) -> None:
    meta = {"penstock/key": "ticket-1"}
    first, second = [await call(stand, "agent_desk", {"input": "hello"}, meta=meta) for _ in range(2)]
    assert first["_meta"]["penstock/run"] == second["_meta"]["penstock/run"]


async def test_a_run_as_a_task_of_the_extension(stand: Stand) -> None:
    begun = await call(stand, "agent_desk", {"input": "refund 3"}, can=TASKS)
    assert (begun["resultType"], begun["status"]) == ("task", "working")
    run = begun["taskId"]
    while not stand.runs.runs[run].requests:
        await asyncio.sleep(0)
    held = (await post(stand, message("tasks/get", {"taskId": run}, can=TASKS))).json["result"]
    assert (held["status"], held["resultType"]) == ("input_required", "complete")
    ((name, form),) = held["inputRequests"].items()
    assert form["params"]["requestedSchema"]["required"] == ["approve"]
    answers = {"inputResponses": {name: {"action": "accept", "content": {"approve": True}}, "other": {"action": "accept"}}}
    told = await post(stand, message("tasks/update", {"taskId": run, **answers}, can=TASKS))
    assert told.json["result"]["resultType"] == "complete"
    while stand.runs.runs[run].ended is None:
        await asyncio.sleep(0)
    done = (await post(stand, message("tasks/get", {"taskId": run}, can=TASKS))).json["result"]
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"] == {"result": "Finished."}

    other = (await call(stand, "agent_desk", {"input": "wait"}, can=TASKS))["taskId"]
    for _ in range(2):  # the second finds it ended, and leaves it so
        assert (await post(stand, message("tasks/cancel", {"taskId": other}, can=TASKS))).status == 200
    assert (await post(stand, message("tasks/get", {"taskId": other}, can=TASKS))).json["result"]["status"] == "cancelled"


async def test_input_that_is_required_and_comes_with_the_call_made_again(stand: Stand) -> None:
    held = await call(stand, "agent_desk", {"input": "question x"}, can={"elicitation": {}})
    assert held["resultType"] == "input_required"
    ((name, form),) = held["inputRequests"].items()
    assert form["params"]["requestedSchema"]["properties"]["answer"] == {"type": "string", "maxLength": 9}
    again = {"requestState": held["requestState"], "inputResponses": {name: {"action": "accept", "content": {"answer": "12"}}}}
    done = await call(stand, "agent_desk", {"input": "question x"}, can={"elicitation": {}}, params=again)
    assert done["content"][0]["text"] == "Order 12."
    stolen = await post(stand, message("tools/call", {"name": "agent_report", "arguments": {"year": 1}, **again}))
    assert stolen.json["error"]["code"] == -32602


async def test_hanging_up_ends_a_newer_call_unless_it_has_a_key(stand: Stand) -> None:
    for meta, ends in (({}, True), ({"penstock/key": "kept"}, False)):
        body = message("tools/call", {"name": "agent_desk", "arguments": {"input": "wait"}}, meta=meta)
        headers = {
            "authorization": f"Bearer {stand.house.admin}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": NEW,
            "mcp-method": "tools/call",
            "mcp-name": "agent_desk",
        }
        before = len(stand.runs.runs)
        async with stand.house.session.post(stand.house.url + "/mcp", data=msgspec.json.encode(body), headers=headers):
            assert len(stand.runs.runs) == before + 1
            while not newest(stand).watchers:
                await asyncio.sleep(0)
        run = newest(stand)
        while run.watchers:
            await asyncio.sleep(0.01)
        if ends:
            while run.ended is None:
                await asyncio.sleep(0.01)
            assert run.ended.state == "cancelled"
        else:
            assert run.ended is None
            run.answered.set()


async def test_an_older_client_cancels_by_notification(stand: Stand) -> None:
    body = {"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": {"name": "agent_desk", "arguments": {"input": "wait"}}}
    calling = asyncio.create_task(post(stand, body, mcp_protocol_version=OLD))
    before = len(stand.runs.runs)
    while len(stand.runs.runs) == before or not newest(stand).watchers:
        await asyncio.sleep(0.01)
    stop = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}}
    assert (await post(stand, stop, mcp_protocol_version=OLD)).status == 202
    result = (await calling).json["result"]
    assert result["isError"] is True
    assert "run_cancelled" in result["content"][0]["text"]


async def test_a_cancellation_that_may_mean_another_clients_call_ends_neither(stand: Stand) -> None:
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "agent_desk", "arguments": {"input": "wait"}}}
    before, callings = len(stand.runs.runs), list[asyncio.Task[Answer]]()
    for count in (1, 2):
        callings.append(asyncio.create_task(post(stand, body, mcp_protocol_version=OLD)))
        while len(stand.runs.runs) < before + count or not newest(stand).watchers:
            await asyncio.sleep(0.01)
    stop = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    assert (await post(stand, stop, mcp_protocol_version=OLD)).status == 202
    first, second = list(stand.runs.runs.values())[before:]
    assert (first.ended, second.ended) == (None, None)
    first.answered.set()
    await next(iter(asyncio.as_completed(callings)))
    assert (await post(stand, stop, mcp_protocol_version=OLD)).status == 202  # now it can mean one alone
    results = [(await calling).text for calling in callings]
    assert sum("run_cancelled" in text for text in results) == 1


async def test_arguments_that_do_not_fit_are_told_to_the_model(stand: Stand) -> None:
    wrong = await call(stand, "agent_report", {"year": "soon", "more": 1})
    assert wrong["isError"] is True
    assert "year" in wrong["content"][0]["text"]
    lost = await call(stand, "run_result", {"run": "nothing"})
    assert lost["isError"] is True


BAD: list[tuple[Any, dict[str, str], int, int]] = [
    (b"{", {}, 400, -32700),
    ([message("tools/list")], {}, 400, -32600),
    ({"jsonrpc": "1.0", "id": 1, "method": "x"}, {}, 400, -32600),
    ({"jsonrpc": "2.0", "id": True, "method": "x"}, {}, 400, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "x", "params": []}, {}, 200, -32602),
    ({"jsonrpc": "2.0", "id": 1, "method": "resources/list"}, {}, 200, -32601),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, {"mcp_protocol_version": "1999-01-01"}, 400, -32022),
    (message("resources/list"), {}, 404, -32601),
    (message("initialize"), {}, 404, -32601),
    (message("tools/list"), {"mcp_method": "tools/call"}, 400, -32020),
    (message("tools/list"), {"mcp_protocol_version": OLD}, 400, -32020),
    (message("tools/list", {"cursor": "x"}), {}, 400, -32602),
    (message("tools/call", {"name": "nobody"}), {}, 400, -32602),
    (message("tools/call", {"name": "agent_desk"}), {"mcp_name": "agent_report"}, 400, -32020),
    (message("tools/call", {"name": "agent_desk", "arguments": []}), {}, 400, -32602),
    (message("tools/call", {"name": "agent_desk", "arguments": {"input": "x"}, "requestState": "no"}), {}, 400, -32602),
    (message("tasks/get", {"taskId": "nothing"}), {}, 400, -32602),
    (message("tasks/get"), {}, 400, -32602),
    ({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}, {"mcp_protocol_version": NEW, "mcp_method": "server/discover"}, 400, -32602),
]


@pytest.mark.parametrize(("body", "headers", "status", "code"), BAD)
async def test_bad_input(stand: Stand, body: Any, headers: dict[str, str], status: int, code: int) -> None:
    answer = await post(stand, body, **headers)
    assert (answer.status, answer.json["error"]["code"]) == (status, code), answer.text
    assert answer.json["jsonrpc"] == "2.0"


async def test_a_version_that_nobody_speaks_names_those_that_are(stand: Stand) -> None:
    body = message("tools/list")
    body["params"]["_meta"][META + "protocolVersion"] = "2030-01-01"
    answer = await post(stand, body, mcp_protocol_version="2030-01-01")
    assert answer.json["error"]["data"] == {"supported": [NEW, OLD, "2025-06-18", "2025-03-26", "2024-11-05"], "requested": "2030-01-01"}


async def test_who_may_not_is_told_where_keys_come_from(stand: Stand) -> None:
    nobody = await post(stand, message("tools/list"), key="")
    where = f'{stand.house.url}/.well-known/oauth-protected-resource/mcp"'
    assert nobody.status == 401
    assert nobody.headers["www-authenticate"] == f'Bearer resource_metadata="{where}'
    assert nobody.json["error"]["data"]["code"] == "missing_api_key"
    assert 'error="invalid_token"' in (await post(stand, message("tools/list"), key="psk_no")).headers["www-authenticate"]
    reader, _ = await stand.house.key(scopes=["read"])
    weak = await post(stand, message("tools/list"), key=reader)
    assert (weak.status, 'error="insufficient_scope"' in weak.headers["www-authenticate"]) == (403, True)
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        told = await stand.house.ask("GET", path, key="")
        assert told.json["resource"] == f"{stand.house.url}/mcp"


async def test_pages_of_others_are_refused(stand: Stand) -> None:
    assert (await post(stand, message("tools/list"), origin="https://evil.example.com")).status == 403
    mine = await post(stand, message("tools/list"), origin="https://desk.example.com")
    assert (mine.status, mine.headers["access-control-allow-origin"]) == (200, "https://desk.example.com")
    asked = await stand.house.ask("OPTIONS", "/mcp", key="", origin="https://desk.example.com")
    assert (asked.status, "mcp-protocol-version" in asked.headers["access-control-allow-headers"]) == (204, True)
    for wrong in ("https://evil.example.com", "http://[::1", "null"):
        assert (await stand.house.ask("OPTIONS", "/mcp", key="", origin=wrong)).status == 403
        assert (await post(stand, message("tools/list"), origin=wrong)).status == 403


async def test_only_messages_that_are_posted(stand: Stand) -> None:
    for method in ("GET", "DELETE"):
        answer = await stand.house.ask(method, "/mcp")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert (await post(stand, message("tools/list"), accept="image/png")).status == 406
    assert (await post(stand, io.BytesIO(b" " * 1_048_600))).status == 413
