"""The document is true: real requests to a running house, and its real answers, hold against it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import msgspec
import pytest
import pytest_asyncio
from tests.agents.mcp.test_routes import CONSENT
from tests.agents.mcp.test_routes import OWN as MCP
from tests.agents.scheduling.test_routes import OWN as SCHEDULES
from tests.agents.test_service import OWN as AGENTS
from tests.compatibility.provider import PNG, Model
from tests.edge.contract import Contract, events
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, Answer, House, open_house
from tests.observability.test_contract import OWN as OBSERVED
from tests.quality.drift.test_pages import OWN as DRIFT
from tests.quality.limits.test_calibrations import OWN as GROUNDED
from tests.routing.test_routes import OWN as ROUTING
from tests.tasks.test_routes import OWN as TASKS

from penstock.edge.openapi import document
from penstock.gateway.providers.minilm import installed
from penstock.gateway.schemas import description
from penstock.kernel.journal import Journal, Run
from penstock.kernel.web import Endpoint

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
TALKS = (CHAT, RESPONSES, MESSAGES)
SAYS = {
    "denied": ("401 Unauthorized", 502),
    "broken": ("500 Internal Server Error", 502),
    "busy": ("503 Service Unavailable", 503),
    "strict": ("415 Unsupported Media Type", 415),
    "clash": ("409 Conflict", 409),
    "tired": ("429 Too Many Requests", 429),
}
"""Models whose provider refuses: how, and what the caller is told."""

NAMES = ["m", "c", "g", "poor", "slow", "cut", *SAYS]


class Rig:
    """A house whose every answer is held against its own document."""

    def __init__(self, house: House, contract: Contract) -> None:
        self.house = house
        self.contract = contract

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        answer = await self.house.ask(method, path, body, **more)
        self.contract.check(method, path, body, answer)
        return answer

    async def announce(self, path: str, length: int) -> Answer:
        """A POST that says how long its body will be, sends the beginning of it, and waits."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.house.url.rsplit(":", 1)[1]))
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.house.admin}\r\ncontent-length: {length}\r\n\r\n"
        writer.write(head.encode() + b'{"model"')
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        writer.close()
        answer = Answer(int(status.split()[1]), body, headers, json.loads(body))
        self.contract.check("POST", path, None, answer)
        return answer

    def named(self, path: str, *statuses: int) -> bool:
        """Whether a POST there promises each of these by itself, not among "all others"."""
        return {str(status) for status in statuses} <= set(self.contract.operation("POST", path)["responses"])

    async def done(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = await self.ask(method, path, body, **more)
        assert answer.status < 300, answer.text
        return answer.json


FORM = "multipart/form-data; boundary=XX"
JSON = "application/json"
PICTURES = b'{"created": 1, "data": [{"b64_json": "AAAA"}]}'
RANKED = b'{"results": [{"index": 0, "relevance_score": 0.5}]}'


def form(**fields: str) -> bytes:
    """A form of these values with one file."""
    values = [f'name="{name}"\r\n\r\n{value}' for name, value in {"model": "m", **fields}.items()]
    parts = [*values, 'name="file"; filename="a.wav"\r\n\r\nsound', 'name="image"; filename="a.png"\r\n\r\npicture']
    return ("".join(f"--XX\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--XX--\r\n").encode()


BESIDE: dict[str, tuple[str, Any, str, bytes]] = {
    "/v1/moderations": (JSON, {"model": "m", "input": "hi"}, JSON, b'{"id": "x", "model": "m", "results": []}'),
    "/v1/rerank": (JSON, {"model": "m", "query": "q", "documents": ["a"]}, JSON, RANKED),
    "/v2/rerank": (JSON, {"model": "m", "query": "q", "documents": ["a"]}, JSON, RANKED),
    "/v1/audio/transcriptions": (FORM, form(), JSON, b'{"text": "hi"}'),
    "/v1/audio/translations": (FORM, form(response_format="text"), "text/plain", b"hi"),
    "/v1/audio/speech": (JSON, {"model": "m", "input": "hi", "voice": "alloy"}, "audio/mpeg", b"sound"),
    "/v1/images/generations": (JSON, {"model": "m", "prompt": "a gate"}, JSON, PICTURES),
    "/v1/images/edits": (FORM, form(prompt="a gate"), JSON, PICTURES),
    "/v1/images/variations": (FORM, form(), JSON, PICTURES),
}
"""What is asked beside conversation, how, and what the provider answers (the second rerank path is served through the first)."""
COMPLETIONS = "/v1/completions"
ELSEWHERE = (
    *("/v1/agents/memory", "/v1/agents/threads", "/v1/conversations", "/v1/inbox/"),
    *("/v1/registry/", "/v1/files", "/v1/responses/", "/v1/batches", "/v1/messages/batches", "/v1/realtime"),
    *("/v1/prompts", "/v1/datasets", "/v1/evaluations", "/v1/feedback", "/v1/samples", "/v1/judges", "/v1/alerts", "/v1/webhooks"),
    *("/mcp", "/a2a", "/.well-known/", "/v1/agents/{name}/agui", "/v1/runs/{id}/events", "/v1/runs/{id}/standing"),
    "/v1/runs/{id}/answer",
)
"""Routes whose answers are held against the document beside their own tests, in the folders of their rooms."""


async def provide(peer: Conversation) -> None:
    """Both shapes, as a model does; some models as a provider in trouble does."""
    good = Model()
    while True:
        head, body = await peer.request()
        path = head.split(b" ")[1].decode()
        if path in BESIDE:
            media, said = BESIDE[path][2], BESIDE[path][3]
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (media.encode(), len(said), said))
            continue
        name = str(json.loads(body).get("model"))
        if name == "slow":
            await peer.reader.read()  # until the caller has had enough
        if name == "cut":
            begun = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "cut"}
            said = json.dumps({**begun, "choices": [{"index": 0, "delta": {"content": "half a"}, "finish_reason": None}]}).encode()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\ndata: %s\n\n" % said)
            return
        if name in SAYS:
            await peer.json(b'{"type":"error","error":{"type":"x","message":"no"}}', SAYS[name][0])
            continue
        await good.answer(peer, head, body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with serving(provide) as upstream:
        openai, claude = json.dumps([n for n in NAMES if n not in "cg"]), json.dumps(["c"])
        settings = (
            f"{SETTINGS}max_body_bytes = 100000\nbody_seconds = 0.3\nretries = 0\n"
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = {openai}\n'
            f'[gateway.providers.claude]\nprofile = "anthropic"\nbase_url = "{upstream.url}"\napi_key = "x"\nmodels = {claude}\n'
            f'[gateway.providers.gemini]\nbase_url = "{upstream.url}beta"\napi_key = "x"\nmodels = ["g"]\n'
            '[finops.prices."chat/*"]\ninput = 1\noutput = 2\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield Rig(house, await Contract.of(house))


TOOL = {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
IMAGE = f"data:image/png;base64,{PNG}"
TURN = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Delft"}'}}
USE = {"type": "tool_use", "id": "tu_1", "name": "weather", "input": {"city": "Delft"}}

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    CHAT: [
        {"messages": [{"role": "user", "content": "hi"}], "temperature": None, "stop": ["x"], "max_completion_tokens": 50},
        {"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": TOOL}], "tool_choice": "auto"},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Rain?"},
                {"role": "assistant", "content": None, "tool_calls": [TURN]},
                {"role": "tool", "tool_call_id": "call_1", "content": "It rains."},
            ],
            "tools": [{"type": "function", "function": TOOL}],
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]}
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA, "strict": True}},
        },
    ],
    RESPONSES: [
        {"input": "hi", "instructions": "Be brief.", "max_output_tokens": 50, "store": False},
        {"input": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", **TOOL}], "tool_choice": "auto"},
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Rain?"}, {"type": "input_image", "image_url": IMAGE}]},
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Delft"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "It rains."},
            ]
        },
        {"input": "hi", "text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA, "strict": True}}},
    ],
    MESSAGES: [
        {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50, "system": "Be brief.", "stop_sequences": ["x"]},
        {
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 50,
            "tools": [{"name": "weather", "input_schema": TOOL["parameters"]}],
            "tool_choice": {"type": "auto"},
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Rain?", "cache_control": {"type": "ephemeral"}}]},
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "tu_1", "content": "It rains."}]},
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
                },
            ],
            "max_tokens": 50,
            "metadata": {"user_id": "u"},
        },
    ],
}


@pytest.mark.parametrize("path", TALKS)
@pytest.mark.parametrize("model", ["m", "c"])
@pytest.mark.parametrize("stream", [False, True])
async def test_conversations_by_providers_of_each_shape(rig: Rig, path: str, model: str, stream: bool) -> None:
    for said in CONVERSATIONS[path]:
        answer = await rig.ask("POST", path, {"model": model, "stream": stream, **said}, x_penstock_labels="a=b")
        assert answer.status == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
        promised = rig.contract.operation("POST", path)["responses"]["200"]["headers"]
        assert {"x-request-id", "traceparent", "x-penstock-provider", "x-penstock-model"} <= set(promised) & set(answer.headers)


@pytest.mark.parametrize("given", ["hi", ["hi", "you"], [1, 2], [[1, 2], [3]]])
@pytest.mark.parametrize("form", ["float", "base64"])
async def test_embeddings(rig: Rig, given: Any, form: str) -> None:
    await rig.done("POST", EMBEDDINGS, {"model": "m", "input": given, "encoding_format": form})


async def test_counting_and_listing(rig: Rig) -> None:
    assert await rig.done("POST", COUNT, {"model": "c", "messages": [{"role": "user", "content": "hi"}]}) == {"input_tokens": 11}
    assert len((await rig.done("GET", "/v1/models"))["data"]) == len(NAMES)
    assert (await rig.done("GET", "/v1/models/m"))["id"] == "m"
    assert (await rig.ask("GET", "/v1/models/nobody")).status == 404


GOOGLES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"topK": 4}}, "mcg"),
    ("streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "hi"}]}], "systemInstruction": {"parts": {"text": "Hm."}}}, "mcg"),
    ("generateContent", {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"functionDeclarations": [{"name": "weather"}]}]}, "mcg"),
    ("streamGenerateContent?alt=sse", {"contents": [], "tools": [{"functionDeclarations": [{"name": "weather"}]}]}, "mcg"),
    ("countTokens", {"contents": [{"parts": [{"text": "hi"}]}]}, "cg"),
    ("embedContent", {"content": {"parts": [{"text": "hi"}]}, "taskType": "CLUSTERING"}, "mg"),
    ("batchEmbedContents", {"requests": [{"content": {"parts": [{"text": "hi"}]}, "outputDimensionality": 2}]}, "mg"),
)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize(("method", "body", "models"), GOOGLES)
async def test_googles_clients(rig: Rig, version: str, method: str, body: dict[str, Any], models: str) -> None:
    for model in models:
        await rig.done("POST", f"/{version}/models/{model}:{method}", body)
    path = f"/{version}/models/m:{method}"
    for status, answer in (
        (400, await rig.ask("POST", path, {})),
        (401, await rig.ask("POST", path, body, key="psk_" + "x" * 49)),
        (403, await rig.ask("POST", path, body, key=(await rig.house.key(scopes=["read"]))[0])),
        (404, await rig.ask("POST", path.replace("/m:", "/nobody:"), body)),
    ):
        assert answer.status == status, answer.text


async def test_what_googles_clients_list(rig: Rig) -> None:
    assert len((await rig.done("GET", "/v1beta/models?pageSize=5"))["models"]) == len(NAMES)
    await rig.done("GET", "/v1beta/models/g")
    assert "models" in await rig.done("GET", "/v1/models", key="", x_goog_api_key=rig.house.admin)
    assert "name" in await rig.done("GET", "/v1/models/g", key="", x_goog_api_key=rig.house.admin)
    assert (await rig.ask("GET", "/v1beta/models", key="")).status == 401
    assert (await rig.ask("GET", "/v1beta/models/nobody")).status == 404


def small(path: str, model: str) -> dict[str, Any]:
    said = {"input": "hi"} if path == EMBEDDINGS else CONVERSATIONS[path if path in TALKS else MESSAGES][0]
    return {"model": model, **said}


@pytest.mark.parametrize("path", [*TALKS, EMBEDDINGS, COUNT])
async def test_failures_of_every_kind(rig: Rig, path: str) -> None:
    house = rig.house
    expected = {
        400: await rig.ask("POST", path, {"model": "m"}),
        401: await rig.ask("POST", path, small(path, "m"), key="psk_" + "x" * 49),
        403: await rig.ask("POST", path, small(path, "m"), key=(await house.key(scopes=["read"]))[0]),
        404: await rig.ask("POST", path, small(path, "nobody")),
    }
    limited, _ = await house.key(limits={"requests_per_minute": 1})
    await rig.ask("POST", path, small(path, "nobody"), key=limited)
    expected[429] = await rig.ask("POST", path, small(path, "m"), key=limited)
    assert int(expected[429].headers["retry-after"]) >= 1
    for status, answer in expected.items():
        assert answer.status == status, answer.text
    assert rig.named(path, *expected, 500)


@pytest.mark.parametrize("path", [*TALKS, EMBEDDINGS])
async def test_failures_of_providers(rig: Rig, path: str) -> None:
    for model, (_, status) in SAYS.items():
        assert (await rig.ask("POST", path, small(path, model))).status == status
    assert (await rig.ask("POST", path, small(path, "slow"), x_penstock_timeout="0.05")).status == 504
    assert rig.named(path, 429, 502, 503, 504)


async def test_money_that_is_spent(rig: Rig) -> None:
    await rig.done("POST", "/v1/budgets", {"name": "None at all", "limit": 1, "subject_kind": "model", "subject": "poor"})
    for path, status in ((CHAT, 429), (RESPONSES, 429), (MESSAGES, 402)):
        answer = await rig.ask("POST", path, small(path, "poor"))
        assert answer.status == status, answer.text
        assert rig.named(path, status)
        assert answer.headers["x-should-retry"] == "false"
        assert answer.json["error"].get("code", "billing_error") in ("insufficient_quota", "billing_error")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_body_that_does_not_arrive(rig: Rig, path: str) -> None:
    assert (await rig.announce(path, 100)).status == 408
    assert rig.named(path, 408)


@pytest.mark.parametrize("path", [*TALKS, EMBEDDINGS, COUNT, "/v1/teams", "/v1/budgets"])
async def test_a_body_that_is_too_large(rig: Rig, path: str) -> None:
    assert (await rig.announce(path, 2_000_000)).status == 413
    assert rig.named(path, 413)


@pytest.mark.parametrize("path", TALKS)
async def test_a_stream_that_breaks_tells_so_as_an_event(rig: Rig, path: str) -> None:
    answer = await rig.ask("POST", path, {**small(path, "cut"), "stream": True})
    assert answer.status == 200
    last = events(answer.text)[-1]
    assert last.get("code", last.get("error", {}).get("code", "api_error")) in ("upstream_reset", "api_error")


@pytest.mark.parametrize("path", [*BESIDE, COMPLETIONS])
async def test_the_routes_beside_conversation_take_and_answer_what_the_document_says(rig: Rig, path: str) -> None:
    kind, body, media, _ = BESIDE.get(path, (JSON, {"model": "m", "prompt": "hi"}, JSON, b""))
    operation = rig.contract.operation("POST", path)
    assert kind.partition(";")[0] in operation["requestBody"]["content"]
    answer = await rig.house.ask("POST", path, body, content_type=kind)
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == media
    assert media in operation["responses"]["200"]["content"]
    wrong = await rig.house.ask("POST", path, b"nonsense", content_type=kind)
    assert wrong.status == 400
    if kind == JSON:
        if media == JSON:
            rig.contract.check("POST", path, body, answer)
        rig.contract.check("POST", path, "nonsense", wrong)


async def waiting(house: House) -> str:
    """The id of a run that waits, after a step."""

    async def step() -> dict[str, Any]:
        return {"a": 1}

    async def work(run: Run, _: Any) -> Any:
        await run.step("step", step)
        return await run.wait("go")

    journal = house.app.ports.get(Journal)
    journal.define("work", work)
    run = await journal.start("work", organisation="org", labels={"a": "b"})
    while not await journal.history(None, run):
        await asyncio.sleep(0.01)
    return run


async def test_every_other_route_answers_what_the_document_says(rig: Rig) -> None:
    ask, done = rig.ask, rig.done
    call = (await ask("POST", CHAT, small(CHAT, "m"), x_penstock_task="support")).headers["x-request-id"]
    made: dict[str, str] = {}
    for noun, body in (
        ("organisations", {"name": "Others"}),
        ("teams", {"name": "Team"}),
        ("projects", {"name": "Project"}),
        ("people", {"name": "Person", "email": "person@example.org"}),
    ):
        made[noun] = (await done("POST", f"/v1/{noun}", body))["id"]
        await done("GET", f"/v1/{noun}")
        await done("GET", f"/v1/{noun}/{made[noun]}")
        await done("PATCH", f"/v1/{noun}/{made[noun]}", {"name": "Renamed"})
    key = (await done("POST", "/v1/keys", {"name": "k", "team": made["teams"], "limits": {"concurrency": 3}, "models": ["m"]}))["key"]["id"]
    for method, path, body in (
        ("GET", "/v1/keys", None),
        ("GET", f"/v1/keys/{key}", None),
        ("PATCH", f"/v1/keys/{key}", {"name": "l", "expires_at": 4e9}),
        ("POST", f"/v1/keys/{key}/rotate", {}),
        ("POST", f"/v1/keys/{key}/revoke", None),
        ("GET", "/v1/budgets", None),
        ("GET", "/v1/calls?limit=3", None),
        ("GET", f"/v1/calls/{call}", None),
        ("GET", f"/v1/calls/{call}/payload", None),
        ("GET", f"/v1/calls/{call}/why", None),
        ("GET", "/v1/overview?group=task", None),
        ("GET", "/v1/traces/intake", None),
        ("GET", "/v1/ledger", None),
        ("GET", "/v1/ledger/export", None),
        ("GET", f"/v1/ledger/{call}", None),
        ("GET", "/v1/spend?group=model", None),
        ("GET", "/v1/prices?model=m&provider=chat", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/m", None),
        ("GET", "/v1/providers", None),
        ("GET", "/v1beta/models", None),
        ("GET", "/v1beta/models/m", None),
        ("POST", f"/v1/ledger/{call}/corrections", {"amount": 5, "reason": "as the invoice says"}),
    ):
        await done(method, path, body)
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "0", "name": "refused, for its id"}
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert (await done("POST", "/v1/traces", export, content_type="application/json"))["partialSuccess"]["rejectedSpans"] == "1"
    budget = (await done("POST", "/v1/budgets", {"name": "Monthly", "limit": 10_000_000}))["budget"]["id"]
    await done("GET", f"/v1/budgets/{budget}")
    await done("PUT", f"/v1/budgets/{budget}", {"name": "Monthly", "limit": 20_000_000})
    await done("DELETE", f"/v1/budgets/{budget}")
    assert (await ask("DELETE", f"/v1/teams/{made['teams']}")).status == 409  # its key names it
    spare = (await done("POST", "/v1/teams", {"name": "Spare"}))["id"]
    for path in (f"/v1/teams/{spare}", *(f"/v1/{noun}/{made[noun]}" for noun in ("projects", "people", "organisations"))):
        await done("DELETE", path)
    body: dict[str, Any] = {"task": "t", "source": "judged", "pairs": []}
    await done("GET", "/v1/cache?days=30")
    await done("POST", "/v1/cache/clear", {"task": "t"})
    await done("GET", "/v1/cache/pairs")
    await done("GET", "/v1/cache/calibrations")
    if installed():
        await done("POST", "/v1/cache/pairs", body)
        await done("POST", "/v1/cache/calibrations", {"task": "t", "source": "judged"})
    run = await waiting(rig.house)
    for method, path, body in (
        ("GET", "/v1/runs?limit=3", None),
        ("GET", "/v1/queues", None),
        ("POST", f"/v1/runs/{run}/pause", None),
        ("POST", f"/v1/runs/{run}/resume", None),
        ("POST", f"/v1/runs/{run}/signal", {"topic": "another", "value": {"a": [1]}, "key": "once"}),
        ("GET", f"/v1/runs/{run}/steps?limit=2", None),
        ("POST", f"/v1/runs/{run}/fork", {"step": 1}),
        ("POST", f"/v1/runs/{run}/replay", None),
        ("POST", f"/v1/runs/{run}/cancel", None),
        ("GET", f"/v1/runs/{run}", None),
    ):
        await done(method, path, body)
    others = {
        o["operationId"]
        for _, path, o in rig.contract.operations()
        if path not in (*TALKS, EMBEDDINGS, COUNT, COMPLETIONS, *BESIDE) and "/models/{model}:" not in path
        if not path.startswith(ELSEWHERE)
        and path not in (*TASKS, *ROUTING, *GROUNDED, *AGENTS, *MCP, CONSENT, *SCHEDULES, *OBSERVED, *DRIFT)
    }
    if not installed():
        others -= {"post_v1_cache_pairs", "post_v1_cache_calibrations"}
    assert others - rig.contract.succeeded == set(), "give these a request here"


REFUSED = [
    ("GET", "/v1/calls?limit=0", None, 400),
    ("POST", "/v1/teams", {"name": 5}, 400),
    ("POST", "/v1/budgets", {"name": "x", "limit": -1}, 400),
    ("GET", "/v1/teams/nobody", None, 404),
    ("PATCH", "/v1/keys/nobody", {"name": "x"}, 404),
    ("DELETE", "/v1/budgets/nobody", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
async def test_refusals_of_other_routes(rig: Rig, method: str, path: str, body: Any, status: int) -> None:
    assert (await rig.ask(method, path, body)).status == status
    assert (await rig.ask(method, path, {"name": "x"} if body else None, key="")).status == 401
    caller, _ = await rig.house.key(scopes=["call"])
    assert (await rig.ask(method, path, {"name": "x"} if body else None, key=caller)).status == 403


# ---- the document by itself


async def test_every_schema_is_one_and_every_reference_leads_somewhere(rig: Rig) -> None:
    found = rig.contract.document
    names = set(found["components"]["schemas"])
    assert {r.rsplit("/", 1)[1] for r in re.findall(r'"(#/components/schemas/\w+)"', json.dumps(found))} <= names
    for schema in found["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert len({operation["operationId"] for _, _, operation in rig.contract.operations()}) == len(list(rig.contract.operations()))


async def test_every_operation_says_who_may_and_that_strangers_may_not(rig: Rig) -> None:
    for method, path, operation in rig.contract.operations():
        assert {scope for way in operation["security"] for scopes in way.values() for scope in scopes} <= {"read", "call", "admin"}
        assert "401" in operation["responses"], f"{method} {path}"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("OpenAIChatRequest", {"model": "m"}),
        ("OpenAIChatRequest", {"model": "m", "messages": "hi"}),
        ("OpenAIChatRequest", {"model": "m", "messages": [{"role": "robot", "content": "hi"}]}),
        ("OpenAIChatRequest", {"model": "m", "messages": [], "n": 0}),
        ("OpenAIChatCompletion", {"id": "x", "choices": []}),
        ("OpenAIResponsesRequest", {"model": "m", "input": 5}),
        ("OpenAIResponsesEvent", {"type": "response.completed", "sequence_number": 1}),
        ("AnthropicRequest", {"model": "m", "messages": []}),
        ("AnthropicRequest", {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
        ("AnthropicError", {"error": {"message": "x"}}),
        ("OpenAIError", {"error": {"message": "x"}}),
        ("GoogleRequest", {"contents": "hi"}),
        ("GoogleRequest", {"contents": [], "generationConfig": {"maxOutputTokens": -1}}),
        ("GoogleError", {"error": {"message": "x", "code": 400}}),
    ],
)
async def test_what_is_wrong_does_not_fit(rig: Rig, schema: str, value: Any) -> None:
    with pytest.raises(AssertionError):
        rig.contract.valid(value, {"$ref": f"#/components/schemas/{schema}"})


async def test_two_schemas_of_one_name_are_refused() -> None:
    async def handler(scope: Any, protocol: Any) -> None: ...

    def endpoint(path: str, reply: dict[str, Any]) -> Endpoint:
        told = description("openai.chat")
        other = {**told.schemas, "OpenAIChatUsage": reply}
        return Endpoint(
            method="POST", path=path, handler=handler, summary="A.", describe=lambda: msgspec.structs.replace(told, schemas=other)
        )

    with pytest.raises(RuntimeError, match="OpenAIChatUsage"):
        document([], [endpoint("/a", {"type": "object"}), endpoint("/b", {"type": "string"})], "1")
