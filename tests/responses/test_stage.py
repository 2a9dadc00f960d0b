"""Stored responses as OpenAI's own SDK sees them, unmodified: turns over several providers, whole and streamed, shown, deleted, refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SETTINGS = "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
LIMITS = "[responses]\nmax_turn_bytes = 60000\nmax_chain_bytes = 100000\nmax_chain_turns = 40\n"


def chat(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def native(text: str, status: str = "completed") -> dict[str, Any]:
    thought: dict[str, Any] = {"id": "rs_1", "type": "reasoning", "summary": []}
    said: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [said]}
    return {
        "id": "resp_theirs",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "r-2026",
        "output": [thought, message] if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": False,
        "a_new_field": {"kept": 1},
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        },
    }


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 0, **fields})}\n\n".encode()


def streamed(text: str) -> bytes:
    delta = event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text, logprobs=[])
    begun = native("", "in_progress")
    return event("response.created", response=begun) + delta + event("response.completed", response=native(text))


def chunks(text: str) -> bytes:
    begun = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    pieces = [{"role": "assistant", "content": text[:2]}, {"content": text[2:]}]
    said: list[dict[str, Any]] = [{**begun, "choices": [{"index": 0, "delta": piece, "finish_reason": None}]} for piece in pieces]
    said.append({**begun, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    said.append({**begun, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in said) + b"data: [DONE]\n\n"


class Rig:
    """A house before one provider that speaks responses (model r) and one that only knows chat (model m), and what they were sent."""

    def __init__(self, house: House, bodies: list[dict[str, Any]]) -> None:
        self.house = house
        self.bodies = bodies
        self.client = self.of(house.admin)

    def of(self, key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=key, max_retries=0)

    @property
    def sent(self) -> dict[str, Any]:
        return self.bodies[-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    bodies: list[dict[str, Any]] = []

    async def provider(peer: Conversation) -> None:
        while True:
            head, raw = await peer.request()
            body = json.loads(raw)
            bodies.append(body)
            speaks, number = b"/responses" in head, len(bodies)
            if body.get("stream"):
                said = (streamed if speaks else chunks)(f"answer {number}")
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))
            else:
                await peer.json(json.dumps((native if speaks else chat)(f"answer {number}")).encode())

    async with serving(provider) as upstream:
        settings = (
            f"{SETTINGS}{LIMITS}"
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
            f'[gateway.providers.native]\nprofile = "openai"\nbase_url = "{upstream.url}"\nmodels = ["r"]\napi_key_env = "HOME"\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            rig = Rig(house, bodies)
            yield rig
            await rig.client.close()


def words(items: list[dict[str, Any]]) -> list[str]:
    """The texts of a conversation as a provider is sent it."""
    found: list[str] = []
    for item in items:
        content: Any = item.get("content")
        parts: list[dict[str, Any]] = [{"text": content}] if isinstance(content, str) else content or []
        found += [part["text"] for part in parts if "text" in part]
    return found


def stored(response: Any) -> Any:
    """What the response says of itself; the SDK has no name for it."""
    return response.model_dump()["store"]


async def test_a_conversation_goes_on_from_provider_to_provider(rig: Rig) -> None:
    first = await rig.client.responses.create(model="r", input="one", instructions="be brief")
    assert (stored(first), first.previous_response_id, first.model) == (True, None, "r-2026")
    assert first.id.startswith("resp_")
    assert first.id != "resp_theirs"
    assert (rig.sent["input"], rig.sent["store"]) == ("one", False)
    second = await rig.client.responses.create(model="m", input="two", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert words(rig.sent["messages"]) == ["one", first.output_text, "two"]  # instructions are of their turn alone
    third = await rig.client.responses.create(
        model="r", input=[{"role": "user", "content": "three"}], previous_response_id=second.id, stream=True
    )
    events = [one async for one in third]
    last = events[-1]
    assert last.type == "response.completed"
    assert {one.response.id for one in events if hasattr(one, "response")} == {last.response.id}  # type: ignore[union-attr]
    assert "previous_response_id" not in rig.sent
    assert rig.sent["store"] is False
    assert words(rig.sent["input"]) == ["one", first.output_text, "two", second.output_text, "three"]
    assert all(item.get("type") != "reasoning" and "id" not in item for item in rig.sent["input"])
    fourth = await rig.client.responses.create(model="m", input="four", previous_response_id=last.response.id, stream=True)
    ended = [one async for one in fourth][-1]
    assert ended.type == "response.completed"
    assert words(rig.sent["messages"]) == ["one", first.output_text, "two", second.output_text, "three", last.response.output_text, "four"]
    branch = await rig.client.responses.create(model="m", input="other", previous_response_id=first.id)
    assert words(rig.sent["messages"]) == ["one", first.output_text, "other"]

    for made in (first, second, last.response, ended.response, branch):
        shown = await rig.client.responses.retrieve(made.id)
        assert shown.model_dump() == made.model_dump()
    shown = await rig.house.ask("GET", f"/v1/responses/{first.id}")
    assert shown.json["a_new_field"] == {"kept": 1}
    items = [one async for one in rig.client.responses.input_items.list(ended.response.id, order="asc", limit=3)]
    told = words([one.model_dump() for one in items])
    assert told == ["one", first.output_text, "two", second.output_text, "three", last.response.output_text, "four"]
    newest = await rig.client.responses.input_items.list(ended.response.id, limit=1)
    assert words([newest.data[0].model_dump()]) == ["four"]
    assert newest.has_more

    again = [one async for one in await rig.client.responses.retrieve(ended.response.id, stream=True)]
    assert [one.sequence_number for one in again] == list(range(len(again)))
    assert again[-1].type == "response.completed"
    assert again[-1].response.model_dump() == ended.response.model_dump()
    assert "".join(one.delta for one in again if one.type == "response.output_text.delta") == ended.response.output_text
    rest = [one async for one in await rig.client.responses.retrieve(ended.response.id, stream=True, starting_after=3)]
    assert [one.sequence_number for one in rest] == [one.sequence_number for one in again[4:]]

    await rig.client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        await rig.client.responses.retrieve(second.id)
    with pytest.raises(openai.NotFoundError):
        await rig.client.responses.delete(second.id)
    with pytest.raises(openai.BadRequestError) as broken:
        await rig.client.responses.create(model="m", input="five", previous_response_id=ended.response.id)
    assert (broken.value.code, broken.value.param) == ("previous_response_not_found", "previous_response_id")
    assert second.id in broken.value.message
    with pytest.raises(openai.BadRequestError, match="background=true"):
        await rig.client.responses.cancel(first.id)


async def test_who_asks_for_no_storing_gets_none(rig: Rig) -> None:
    made = await rig.client.responses.create(model="r", input="secret", store=False)
    assert (made.id, stored(made)) == ("resp_theirs", False)
    assert (rig.sent["input"], rig.sent["store"]) == ("secret", False)
    kept = await rig.client.responses.create(model="m", input="kept")
    followed = await rig.client.responses.create(model="m", input="secret", store=False, previous_response_id=kept.id)
    assert (stored(followed), followed.previous_response_id) == (False, kept.id)
    assert words(rig.sent["messages"]) == ["kept", kept.output_text, "secret"]
    with pytest.raises(openai.NotFoundError):
        await rig.client.responses.retrieve(followed.id)


async def test_a_response_of_the_providers_own_is_its_affair(rig: Rig) -> None:
    await rig.client.responses.create(model="r", input="x", previous_response_id="resp_67ccd2bed1ec8190b14f964abc054267", store=True)
    assert (rig.sent["previous_response_id"], rig.sent["store"]) == ("resp_67ccd2bed1ec8190b14f964abc054267", True)


async def test_a_tools_turn_is_said_again(rig: Rig) -> None:
    asked: Any = [
        {"role": "user", "content": "weather?"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ]
    made = await rig.client.responses.create(model="m", input=asked)
    await rig.client.responses.create(model="m", input="and now?", previous_response_id=made.id)
    roles = [message["role"] for message in rig.sent["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert rig.sent["messages"][1]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}


async def test_what_is_too_large_is_not_stored_and_says_so(rig: Rig) -> None:
    made = await rig.client.responses.create(model="m", input="x" * 70_000)
    assert stored(made) is False
    with pytest.raises(openai.NotFoundError):
        await rig.client.responses.retrieve(made.id)
    large = await rig.client.responses.create(model="m", input="y" * 55_000)  # longer than an entry of the journal
    assert stored(large) is True
    more = await rig.client.responses.create(model="m", input="z" * 50_000, previous_response_id=large.id)
    with pytest.raises(openai.APIStatusError) as refused:
        await rig.client.responses.create(model="m", input="more", previous_response_id=more.id)
    assert (refused.value.status_code, refused.value.code) == (413, "body_too_large")


async def test_a_conversation_has_an_end(rig: Rig) -> None:
    id: str | None = None
    for _ in range(40):
        id = (await rig.client.responses.create(model="m", input="x", previous_response_id=id)).id
    full = await rig.client.responses.create(model="m", input="x", previous_response_id=id)
    with pytest.raises(openai.APIStatusError, match="max_chain_turns"):
        await rig.client.responses.create(model="m", input="x", previous_response_id=full.id)


async def test_what_is_said_to_be_nothing_is_nothing(rig: Rig) -> None:
    asked = {"model": "r", "input": "x", "background": False, "conversation": None}
    assert (await rig.house.ask("POST", "/v1/responses", asked)).status == 200
    assert not {"background", "conversation"} & rig.sent.keys()


WRONG_IDS = ["x", "resp_", "resp_ps" + "0" * 32, "resp_ps" + "g" * 32, "%00", "..%2f..", "a" * 6000, "resp_theirs", "%ff"]


@pytest.mark.parametrize("id", WRONG_IDS)
async def test_a_wrong_id_is_not_found(rig: Rig, id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("GET", "?stream=true")):
        answer = await rig.house.ask(method, f"/v1/responses/{id}{path}")
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found"), answer.text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"previous_response_id": "resp_ps" + "0" * 32}, "previous_response_id"),
        ({"store": "yes"}, "store"),
        ({"background": "yes"}, "background"),
        ({"background": True, "store": False}, "store"),
        ({"background": True, "input": 5}, "input"),
        ({"background": True, "previous_response_id": "resp_ps" + "0" * 32}, "previous_response_id"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": {"name": "x"}}, "conversation"),
        ({"conversation": "conv_ps" + "0" * 32, "previous_response_id": "resp_ps" + "0" * 32}, "conversation"),
        ({"model": "agent:nobody", "store": False}, "store"),
        ({"input": 5}, "input"),
        ({"input": [5]}, None),
        ({"input": ["x"]}, None),
    ],
)
async def test_a_wrong_request_is_refused(rig: Rig, body: dict[str, Any], param: str | None) -> None:
    answer = await rig.house.ask("POST", "/v1/responses", {"model": "m", "input": "x", **body})
    assert answer.status == 400, answer.text
    assert param is None or answer.json["error"]["param"] == param


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "after=msg_x"])
async def test_a_wrong_list_is_refused(rig: Rig, query: str) -> None:
    made = await rig.client.responses.create(model="m", input="x")
    assert (await rig.house.ask("GET", f"/v1/responses/{made.id}/input_items?{query}")).status in (400, 404)


async def test_another_organisation_sees_nothing(rig: Rig) -> None:
    made = await rig.client.responses.create(model="m", input="hushed")
    theirs, _ = await rig.house.outsider()
    async with rig.of(theirs) as client:
        for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel, client.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                await ask(made.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="m", input="x", previous_response_id=made.id)
        assert refused.value.code == "previous_response_not_found"
    assert (await rig.client.responses.retrieve(made.id)).id == made.id
    reader, _ = await rig.house.key(scopes=["read"])
    assert (await rig.house.ask("GET", f"/v1/responses/{made.id}", key=reader)).status == 403
    assert (await rig.house.ask("GET", f"/v1/responses/{made.id}", key="")).status == 401


async def test_the_documented_shapes_hold(rig: Rig) -> None:
    from tests.edge.contract import Contract

    contract = await Contract.of(rig.house)
    made = await rig.client.responses.create(model="m", input="x")
    one = f"/v1/responses/{made.id}"
    for method, path in (
        ("GET", one),
        ("GET", f"{one}?stream=true"),
        ("GET", f"{one}/input_items"),
        ("POST", f"{one}/cancel"),
        ("DELETE", one),
        ("GET", one),
    ):
        contract.check(method, path, None, await rig.house.ask(method, path))
