"""A2A over a real socket, in both bindings; what the official client makes of it is in tests/compatibility/test_a2a.py."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.house import Answer
from tests.interop.conftest import Stand

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
DESK = "/a2a/desk"
IDS = itertools.count(1)


def said(text: str = "", **more: Any) -> dict[str, Any]:
    """A message of a client."""
    parts = [{"text": text}] if text else []
    return {"messageId": f"m{next(IDS)}", "role": "ROLE_USER", "parts": [*parts, *more.pop("parts", [])], **more}


async def rest(
    stand: Stand, method: str, path: str, body: Any = None, *, agent: str = DESK, key: str | None = None, **headers: str
) -> Answer:
    return await stand.house.ask(method, f"{agent}{path}", body, key=key, **{"a2a_version": "1.0", **headers})


async def rpc(stand: Stand, method: str, params: Any, *, agent: str = DESK, **headers: str) -> Answer:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return await stand.house.ask("POST", agent, body, **{"a2a_version": "1.0", **headers})


async def begun(stand: Stand, text: str, **configuration: Any) -> dict[str, Any]:
    answer = await rest(stand, "POST", "/message:send", {"message": said(text), "configuration": configuration})
    assert answer.status == 200, answer.text
    return answer.json["task"]


def events(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            found.append({"id": lines["id"], **msgspec.json.decode(lines["data"])})
    return found


async def test_cards(stand: Stand) -> None:
    front = await stand.house.ask("GET", "/.well-known/agent-card.json")
    own = await rest(stand, "GET", "/.well-known/agent-card.json")
    assert front.json == own.json
    assert {one["protocolBinding"]: one["url"] for one in own.json["supportedInterfaces"]} == {
        "JSONRPC": f"{stand.house.url}/a2a/desk",
        "HTTP+JSON": f"{stand.house.url}/a2a/desk",
    }
    assert own.json["defaultInputModes"] == ["text/plain"]
    extended = (await rpc(stand, "GetExtendedAgentCard", {}, agent="/a2a/report")).json["result"]
    assert extended["defaultInputModes"] == ["application/json"]
    assert extended["capabilities"]["extensions"][0]["params"]["input"]["required"] == ["year"]
    assert (await rest(stand, "GET", "/extendedAgentCard")).json == own.json
    for path in ("/.well-known/agent-card.json", f"{DESK}/.well-known/agent-card.json"):
        assert (await stand.house.ask("GET", path, key="")).status == 401


async def test_a_message_is_a_task_and_the_same_message_the_same(stand: Stand) -> None:
    sent = {"message": said("hello")}
    first = (await rpc(stand, "SendMessage", sent)).json["result"]["task"]
    assert first["status"]["state"] == "TASK_STATE_COMPLETED"
    assert first["artifacts"][0]["parts"] == [{"text": "You said: hello"}]
    assert first["history"][0]["taskId"] == first["id"]
    again = (await rest(stand, "POST", "/message:send", sent)).json["task"]
    assert again["id"] == first["id"]
    assert again["contextId"] == first["contextId"]
    got = (await rest(stand, "GET", f"/tasks/{first['id']}?historyLength=0")).json
    assert "history" not in got
    assert got["status"] == first["status"]


async def test_data_for_an_agent_that_wants_it(stand: Stand) -> None:
    sent = {"message": said(parts=[{"data": {"year": 2027}}])}
    done = (await rest(stand, "POST", "/message:send", sent, agent="/a2a/report")).json["task"]
    assert done["artifacts"][0]["parts"] == [{"data": {"pages": 27}, "mediaType": "application/json"}]


@pytest.mark.parametrize(("reply", "result"), [({"text": "approve"}, "done"), ({"data": {"approve": False}}, "refused")])
async def test_an_approval_is_answered_by_a_message(stand: Stand, reply: dict[str, Any], result: str) -> None:
    task = await begun(stand, "refund 5")
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    request = task["status"]["message"]["parts"][1]["data"]
    assert (request["tool"], request["arguments"]) == ("refund", {"order": "7"})
    unclear = {"message": said("perhaps", taskId=task["id"])}
    assert (await rpc(stand, "SendMessage", unclear)).json["error"]["code"] == -32602
    answered = {"message": said(parts=[reply], taskId=task["id"], contextId=task["contextId"])}
    done = (await rpc(stand, "SendMessage", answered)).json["result"]["task"]
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert len(done["history"]) == 2
    assert stand.runs.runs[task["id"]].events[-3].text == result
    late = (await rpc(stand, "SendMessage", answered)).json["error"]
    assert (late["code"], late["data"][0]["reason"]) == (-32004, "UNSUPPORTED_OPERATION")


async def test_streams_in_both_bindings(stand: Stand) -> None:
    answer = await rest(stand, "POST", "/message:stream", {"message": said("question me")})
    assert answer.headers["content-type"] == "text/event-stream"
    told = events(answer.text)
    assert [next(name for name in one if name != "id") for one in told] == ["task", "statusUpdate"]
    assert told[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    task = told[0]["task"]["id"]
    answer = await rpc(stand, "SendStreamingMessage", {"message": said("31", taskId=task)})
    more = [one["result"] for one in events(answer.text)]
    assert [next(iter(one)) for one in more] == ["task", "statusUpdate", "statusUpdate", "artifactUpdate", "statusUpdate"]
    assert more[2]["statusUpdate"]["status"]["message"]["parts"] == [{"text": "Order 31."}]
    assert more[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    over = await rest(stand, "POST", f"/tasks/{task}:subscribe")
    assert over.json["error"]["details"][0]["reason"] == "UNSUPPORTED_OPERATION"
    rest_of_it = events((await rest(stand, "GET", f"/tasks/{task}:subscribe", last_event_id="4")).text)
    assert [one["id"] for one in rest_of_it] == ["0", "5", "5"]


async def test_subscribing_and_cancelling(stand: Stand) -> None:
    task = await begun(stand, "wait", returnImmediately=True)
    assert task["status"]["state"] == "TASK_STATE_WORKING"
    watching = asyncio.create_task(rpc(stand, "SubscribeToTask", {"id": task["id"]}))
    while not stand.runs.runs[task["id"]].watchers:
        await asyncio.sleep(0.01)
    cancelled = await rest(stand, "POST", f"/tasks/{task['id']}:cancel")
    assert cancelled.json["status"]["state"] == "TASK_STATE_CANCELED"
    told = [one["result"] for one in events((await watching).text)]
    assert told[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    again = (await rpc(stand, "CancelTask", {"id": task["id"]})).json["error"]
    assert (again["code"], again["data"][0]["reason"]) == (-32002, "TASK_NOT_CANCELABLE")


async def test_a_failed_task_says_why(stand: Stand) -> None:
    task = await begun(stand, "fail")
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert task["status"]["message"]["parts"][0]["text"] == "insufficient_quota: no money"


async def test_lists_go_page_by_page(stand: Stand) -> None:
    made = [(await begun_in(stand, "c-list", f"hello {n}"))["id"] for n in range(3)]
    first = (await rest(stand, "GET", "/tasks?contextId=c-list&pageSize=2")).json
    assert [one["id"] for one in first["tasks"]] == [made[2], made[1]]
    assert (first["totalSize"], first["pageSize"]) == (3, 2)
    assert "artifacts" not in first["tasks"][0]
    params = {"contextId": "c-list", "pageSize": 2, "pageToken": first["nextPageToken"], "includeArtifacts": True}
    last = (await rpc(stand, "ListTasks", params)).json["result"]
    assert [one["id"] for one in last["tasks"]] == [made[0]]
    assert last["nextPageToken"] == ""
    assert "artifacts" in last["tasks"][0]
    assert (await rpc(stand, "ListTasks", {"contextId": "c-list", "status": "TASK_STATE_FAILED"})).json["result"]["tasks"] == []
    assert (await rpc(stand, "ListTasks", {"pageToken": "no"})).json["error"]["code"] == -32602
    stranger, _ = await stand.house.outsider()
    assert (await rest(stand, "GET", f"/tasks/{made[0]}", key=stranger)).status == 404


async def begun_in(stand: Stand, context: str, text: str) -> dict[str, Any]:
    return (await rpc(stand, "SendMessage", {"message": said(text, contextId=context)})).json["result"]["task"]


async def test_a_url_is_told_signed_until_the_end(stand: Stand) -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    refused: list[str] = []

    async def hook(request: web.Request) -> web.Response:
        body, headers = await request.read(), {name.lower(): value for name, value in request.headers.items()}
        if not refused:
            refused.append(headers["webhook-id"])
            return web.Response(status=503)
        got.append((headers, body))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        config = {
            "url": f"http://127.0.0.1:{port}/hook",
            "token": "t0ken",
            "authentication": {"scheme": "Bearer", "credentials": "them"},
        }
        task = await begun(stand, "refund 8", taskPushNotificationConfig=config)
        listed = (await rest(stand, "GET", f"/tasks/{task['id']}/pushNotificationConfigs")).json["configs"]
        assert listed[0]["authentication"] == {"scheme": "Bearer"}
        assert "token" not in listed[0]
        one = (await rest(stand, "GET", f"/tasks/{task['id']}/pushNotificationConfigs/{listed[0]['id']}")).json
        assert one == listed[0]
        await rpc(stand, "SendMessage", {"message": said("yes", taskId=task["id"])})
        while not got or b"TASK_STATE_COMPLETED" not in got[-1][1]:
            await asyncio.sleep(0.02)
    finally:
        await runner.cleanup()
    states = [next(iter(msgspec.json.decode(body).values())).get("status", {}).get("state") for _, body in got]
    assert states[-1] == "TASK_STATE_COMPLETED"
    headers, body = got[0]
    assert headers["webhook-id"] == refused[0]
    assert (headers["x-a2a-notification-token"], headers["authorization"]) == ("t0ken", "Bearer them")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + hmac.new(b"t0ken", signed, hashlib.sha256).hexdigest()
    gone = await rest(stand, "DELETE", f"/tasks/{task['id']}/pushNotificationConfigs/{listed[0]['id']}")
    assert (gone.status, gone.json) == (200, {})
    assert (await rest(stand, "GET", f"/tasks/{task['id']}/pushNotificationConfigs")).json["configs"] == []


async def test_a_host_that_may_not_be_told(stand: Stand) -> None:
    task = await begun(stand, "hello")
    for url in ("http://169.254.169.254/latest", "file:///etc/passwd", "http://u@127.0.0.1/", "http://[::1", "http://127.0.0.1:x/"):
        wrong = await rpc(stand, "CreateTaskPushNotificationConfig", {"taskId": task["id"], "url": url})
        assert wrong.json["error"]["code"] == -32602
    for more in ({"token": "a\r\nb"}, {"authentication": {"scheme": "Bearer", "credentials": "a\nb"}}, {"authentication": {"scheme": {}}}):
        config = {"taskId": task["id"], "url": "http://127.0.0.1:9/", **more}
        wrong = await rpc(stand, "CreateTaskPushNotificationConfig", config)
        assert wrong.json["error"]["code"] == -32602


BAD: list[tuple[Any, int, str]] = [
    (b"{", -32700, "JSON_PARSE_ERROR"),
    ([], -32600, "INVALID_REQUEST"),
    ({"jsonrpc": "1.0", "id": 1, "method": "GetTask"}, -32600, "INVALID_REQUEST"),
    ({"jsonrpc": "2.0", "id": 1, "method": "message/send"}, -32601, "METHOD_NOT_FOUND"),
    ({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": []}, -32602, "INVALID_PARAMS"),
    ({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "no"}}, -32001, "TASK_NOT_FOUND"),
    ({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}, -32602, "INVALID_PARAMS"),
    (
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said(parts=[{"url": "x"}])}},
        -32005,
        "CONTENT_TYPE_NOT_SUPPORTED",
    ),
    (
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {**said("x"), "role": "ROLE_AGENT"}}},
        -32602,
        "INVALID_PARAMS",
    ),
    ({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said("x", taskId="no")}}, -32001, "TASK_NOT_FOUND"),
]


@pytest.mark.parametrize(("body", "code", "reason"), BAD)
async def test_bad_messages(stand: Stand, body: Any, code: int, reason: str) -> None:
    answer = await stand.house.ask("POST", DESK, body, a2a_version="1.0")
    assert (answer.status, answer.json["error"]["code"]) == (200, code), answer.text
    assert answer.json["error"]["data"][0]["reason"] == reason


async def test_bad_requests_over_http(stand: Stand) -> None:
    for method, path, status, reason in (
        ("GET", "/tasks/no", 404, "TASK_NOT_FOUND"),
        ("GET", "/nothing", 404, "METHOD_NOT_FOUND"),
        ("POST", "/message:send", 400, "INVALID_PARAMS"),
        ("GET", "/tasks?pageSize=0", 400, "INVALID_PARAMS"),
        ("GET", "/tasks?statusTimestampAfter=0001-01-01", 400, "INVALID_PARAMS"),
        ("GET", "/tasks?" + "&".join(f"a{place}=1" for place in range(70)), 400, "INVALID_REQUEST"),
    ):
        answer = await rest(stand, method, path, {} if method == "POST" else None)
        assert (answer.status, answer.json["error"]["details"][0]["reason"]) == (status, reason), answer.text
    old = await rest(stand, "GET", "/tasks", a2a_version="")
    assert old.json["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"
    assert (await rpc(stand, "GetTask", {"id": "x"}, a2a_version="0.3")).json["error"]["code"] == -32009
    nobody = await rest(stand, "GET", "/tasks", key="")
    assert (nobody.status, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert (await rest(stand, "GET", "/tasks", agent="/a2a/nobody")).status == 404
