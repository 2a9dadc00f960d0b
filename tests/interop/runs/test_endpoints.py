"""Every protocol over agents on a real journal: what is told, what is asked and answered, and what comes after a cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import Answer, House, open_house
from tests.interop.agui.test_endpoints import Stream, asked
from tests.interop.mcp.test_endpoints import TASKS, message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
SETTINGS = """[gateway]
discover = false
local_embeddings = false
[gateway.providers.up]
profile = "openai-compatible"
base_url = "{url}"
models = ["m"]
[agents]
modules = ["tests.interop.real"]
[journal]
poll_seconds = 0.05
"""


def completion(**turn: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "", **turn}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return msgspec.json.encode({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage})


async def model(peer: Conversation) -> None:
    """Looks an order up, and says what it found."""
    while True:
        _, body = await peer.request()
        said = msgspec.json.decode(body)["messages"]
        if said[-1]["role"] == "tool":
            await peer.json(completion(content="It was sent."))
        else:
            call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": "7"}'}}
            await peer.json(completion(tool_calls=[call]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with serving(model) as upstream, open_house(tmp_path_factory.mktemp("real"), SETTINGS.format(url=upstream.url)) as made:
        yield made


async def tell(house: House, url: str, body: Any = None, method: str = "POST", **headers: str) -> list[dict[str, str]]:
    """The events of a stream, as their fields."""
    answer = await house.ask(method, url, body, **headers)
    assert answer.status == 200, answer.text
    found: list[dict[str, str]] = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            found.append(fields)
    return found


async def test_ag_ui(house: House) -> None:
    body = asked("Where is order 7?", "r1")
    stream = Stream((await house.ask("POST", "/v1/agents/clerk/agui", body)).text)
    kinds = [kind.value for kind in stream.kinds]
    wanted = ["RUN_STARTED", "TOOL_CALL_START", "TOOL_CALL_RESULT", "TEXT_MESSAGE_CONTENT", "RUN_FINISHED"]
    assert [kind for kind in kinds if kind in wanted] == wanted
    assert stream.events[-1].result == "It was sent."
    for place, id in enumerate(stream.ids[:-1]):
        rest = Stream((await house.ask("POST", "/v1/agents/clerk/agui", body, Last_Event_ID=id)).text)
        assert rest.ids == stream.ids[place + 1 :]


async def test_ag_ui_asks_and_goes_on(house: House) -> None:
    given = asked("Ada", "r2")
    first = Stream((await house.ask("POST", "/v1/agents/greet/agui", given)).text)
    (interrupt,) = first.events[-1].outcome.interrupts
    assert "Ada" in interrupt.message
    answers = [{"interruptId": interrupt.id, "status": "resolved", "payload": "Hello"}]
    second = Stream((await house.ask("POST", "/v1/agents/greet/agui", asked("Ada", "r3", resume=answers))).text)
    assert second.events[-1].result == "Hello, Ada"


async def mcp(house: House, body: dict[str, Any]) -> Any:
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": body["method"], "accept": "application/json"}
    if "name" in body["params"]:
        headers["mcp_name"] = body["params"]["name"]
    answer = await house.ask("POST", "/mcp", body, **headers)
    assert answer.status == 200, answer.text
    return answer.json["result"]


async def test_mcp(house: House) -> None:
    done = await mcp(house, message("tools/call", {"name": "agent_clerk", "arguments": {"input": "Order 7?"}}))
    assert done["structuredContent"] == {"result": "It was sent."}
    asks = {"elicitation": {}}
    named = {"name": "agent_greet", "arguments": {"name": "Bob"}}
    tools = {one["name"]: one for one in (await mcp(house, message("tools/list")))["tools"]}
    if "input" in tools["agent_greet"]["inputSchema"]["properties"]:
        named["arguments"] = {"input": "Bob"}
    held = await mcp(house, message("tools/call", named, can=asks))
    assert held["resultType"] == "input_required", held
    ((name, _),) = held["inputRequests"].items()
    again = {"requestState": held["requestState"], "inputResponses": {name: {"action": "accept", "content": {"answer": "Hi"}}}}
    over = await mcp(house, message("tools/call", {**named, **again}, can=asks))
    assert over["content"][0]["text"] == "Hi, Bob"
    begun = await mcp(house, message("tools/call", named, can=TASKS))
    assert (begun["resultType"], begun["status"] in ("working", "input_required")) == ("task", True)
    await mcp(house, message("tasks/cancel", {"taskId": begun["taskId"]}, can=TASKS))
    assert (await mcp(house, message("tasks/get", {"taskId": begun["taskId"]}, can=TASKS)))["status"] == "cancelled"


async def a2a(house: House, agent: str, text: str, **more: Any) -> Any:
    said = {"messageId": f"{text}{more}", "role": "ROLE_USER", "parts": [{"text": text}], **more}
    answer = await house.ask("POST", f"/a2a/{agent}/message:send", {"message": said}, a2a_version="1.0")
    assert answer.status == 200, answer.text
    return answer.json["task"]


async def test_a2a(house: House) -> None:
    done = await a2a(house, "clerk", "Order 7?")
    assert done["artifacts"][0]["parts"] == [{"text": "It was sent."}]
    held = await a2a(house, "greet", "Eve")
    assert held["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    over = await a2a(house, "greet", "Good day", taskId=held["id"])
    assert over["status"]["state"] == "TASK_STATE_COMPLETED"
    assert over["artifacts"][0]["parts"] == [{"text": "Good day, Eve"}]


async def begin(house: House, agent: str, text: str) -> str:
    headers = {"a2a_version": "1.0"}
    said = {"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]}
    body = {"message": said, "configuration": {"returnImmediately": True}}
    return (await house.ask("POST", f"/a2a/{agent}/message:send", body, **headers)).json["task"]["id"]


async def test_steps_as_events_and_after_a_cut(house: House) -> None:
    run = await begin(house, "clerk", "Order 8?")
    url = f"/v1/runs/{run}/events"
    whole = await tell(house, url, method="GET")
    assert [one["event"] for one in whole] == ["step"] * (len(whole) - 1) + ["run"]
    assert msgspec.json.decode(whole[-1]["data"])["state"] == "done"
    for place, one in enumerate(whole[:-1]):
        assert await tell(house, url, method="GET", Last_Event_ID=one["id"]) == whole[place + 1 :]
        assert await tell(house, f"{url}?after={one['id']}", method="GET") == whole[place + 1 :]
    stranger, _ = await house.outsider()
    assert (await house.ask("GET", url, key=stranger)).status == 404
    caller, _ = await house.key(scopes=["call"])
    assert (await house.ask("GET", url, key=caller)).status == 403
    assert (await house.ask("GET", url, Last_Event_ID="no")).status == 400


async def test_a_question_is_answered_over_plain_http(house: House) -> None:
    run = await begin(house, "greet", "Kim")
    watching = asyncio.create_task(tell(house, f"/v1/runs/{run}/events", method="GET"))
    standing = await waiting(house, run)
    (request,) = standing["requests"]
    wrong = await house.ask("POST", f"/v1/runs/{run}/answer", {"request": "no", "value": "x"})
    assert wrong.status == 409
    told = await house.ask("POST", f"/v1/runs/{run}/answer", {"request": request["id"], "value": "Welcome"})
    assert told.status == 200, told.text
    events = await watching
    assert msgspec.json.decode(events[-1]["data"])["state"] == "done"
    over: Answer = await house.ask("GET", f"/v1/runs/{run}/standing")
    assert over.json["ended"]["output"] == "Welcome, Kim"
    again = await house.ask("POST", f"/v1/runs/{run}/answer", {"request": request["id"], "value": "x"})
    assert again.status == 409


async def waiting(house: House, run: str) -> Any:
    while True:
        standing = (await house.ask("GET", f"/v1/runs/{run}/standing")).json
        if standing["state"] == "waiting":
            return standing
        assert "ended" not in standing, standing
        await asyncio.sleep(0.02)
