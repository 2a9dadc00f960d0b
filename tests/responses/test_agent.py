"""Agents as models, before OpenAI's own SDK: what they do as items, waited for, streamed, in the background, cancelled, gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from tests.agents import sample
from tests.agents.test_service import Place, Provider, call
from tests.gateway.upstream import serving
from tests.house import open_house
from tests.responses import asker

from penstock.kernel.journal import Journal, RunState
from penstock.responses.agent import Agents
from penstock.responses.job import Job

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    provider = Provider()
    async with serving(provider) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            f'[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{sample.__name__}", "{asker.__name__}"]\nshared = ["secretary"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            house.app.ports.get(Journal).define("agent/asker", asker.asks, version=2)
            yield house, provider


def client_of(place: Place, key: str | None = None) -> openai.AsyncOpenAI:
    house, _ = place
    return openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=key or house.admin, max_retries=0)


def looks_up(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"content": "it is on its way"} if messages[-1]["role"] == "tool" else call("look_up", order="7")


async def test_what_it_does_is_told_as_items(place: Place) -> None:
    house, provider = place
    provider.say = looks_up
    async with client_of(place) as client:
        made = await client.responses.create(model="agent:desk", input="where is order 7?")
        did, said = made.output
        assert did.type == "mcp_call"
        assert (did.name, did.server_label, did.arguments, did.status) == ("look_up", "desk", '{"order": "7"}', "completed")
        assert (said.type, made.output_text, made.status, made.background) == ("message", "it is on its way", "completed", False)
        run = made.model_dump()["agent_run"]
        assert (await house.ask("GET", f"/v1/agents/runs/{run}")).json["ended"]["output"] == "it is on its way"
        events = [one async for one in await client.responses.create(model="agent:desk", input="again", stream=True, background=True)]
        assert [one.sequence_number for one in events] == list(range(len(events)))
        assert events[-1].type == "response.completed"
        id = events[-1].response.id
        async with client.responses.stream(response_id=id) as again:
            assert (await again.get_final_response()).output_text == "it is on its way"
        followed = await client.responses.create(model="agent:desk", input="thanks", previous_response_id=id)
        assert (followed.previous_response_id, followed.status) == (id, "completed")
        plain = await client.responses.create(model="up/m", input="who said that?", previous_response_id=id)
        assert plain.status == "completed"
        assert [one["role"] for one in provider.asked[-1]["messages"]] == ["user", "assistant", "user"]  # what it did is its own affair


async def test_who_leaves_does_not_want_it_any_more(place: Place) -> None:
    house, provider = place
    provider.say = looks_up
    provider.held.clear()
    async with client_of(place) as client:
        waiting = await client.responses.create(model="agent:desk", input="?", stream=True)
        id = (await anext(aiter(waiting))).response.id  # type: ignore[union-attr]
        await waiting.close()
        while (await client.responses.retrieve(id)).status != "cancelled":  # type: ignore[reportUnknownArgumentType]
            await asyncio.sleep(0.02)
        kept = await client.responses.create(model="agent:desk", input="?", background=True)
        while (run := (await client.responses.retrieve(kept.id)).status) != "in_progress":
            assert run == "queued"
            await asyncio.sleep(0.02)
        assert (await client.responses.cancel(kept.id)).status == "cancelled"
    provider.held.set()
    assert house.app.ports.find(Journal) is not None


async def test_a_run_that_begins_while_its_response_is_cancelled_does_not_go_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    house, provider = place
    provider.say = looks_up
    begin, begun, go_on = Agents.begin, list[str](), asyncio.Event()

    async def slow(self: Agents, job: Job) -> str:
        begun.append(await begin(self, job))
        await go_on.wait()
        return begun[0]

    monkeypatch.setattr(Agents, "begin", slow)
    provider.held.clear()
    async with client_of(place) as client:
        made = await client.responses.create(model="agent:desk", input="?", background=True)
        while not begun:
            await asyncio.sleep(0.02)
        assert (await client.responses.cancel(made.id)).status == "cancelled"
        go_on.set()
        journal = house.app.ports.get(Journal)
        async with asyncio.timeout(10):
            while (await journal.get(None, begun[0])).state is not RunState.CANCELLED:
                await asyncio.sleep(0.02)
    provider.held.set()


async def test_what_it_asks_people_is_answered_by_the_next_response(place: Place) -> None:
    async with client_of(place) as client:
        first = await client.responses.create(model="agent:asker", input="go on")
        (leave,) = first.output
        assert leave.type == "mcp_approval_request"
        assert (first.status, leave.name, leave.arguments, leave.server_label) == ("completed", "refund", '{"order":"7"}', "asker")
        with pytest.raises(openai.ConflictError, match=leave.id):
            await client.responses.create(model="agent:asker", input="something else", previous_response_id=first.id)
        yes: Any = {"type": "mcp_approval_response", "approval_request_id": leave.id, "approve": True, "reason": "it is right"}
        with pytest.raises(openai.BadRequestError, match="alone"):
            await client.responses.create(model="agent:asker", input=[yes, {"role": "user", "content": "x"}], previous_response_id=first.id)
        second = await client.responses.create(model="agent:asker", input=[yes], previous_response_id=first.id)
        (question,) = second.output
        assert question.type == "function_call"
        assert question.name == "ask_human"
        with pytest.raises(openai.ConflictError):
            await client.responses.create(model="agent:asker", input=[yes], previous_response_id=first.id)
        told: Any = {"type": "function_call_output", "call_id": question.call_id, "output": "7"}
        third = await client.responses.create(model="agent:asker", input=[told], previous_response_id=second.id)
        assert '"said":"7"' in third.output_text.replace(" ", "")
        assert '"approve":true' in third.output_text.replace(" ", "")
        assert (third.status, len(third.output)) == ("completed", 1)
        late = await client.responses.create(model="agent:asker", input=[], previous_response_id=second.id)
        assert late.output_text == third.output_text


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"model": "agent:nobody"}, 404, "model"),
        ({"instructions": "be brief"}, 400, "instructions"),
        ({"temperature": 0.5}, 400, "temperature"),
        ({"input": []}, 400, "input"),
        ({"input": [{"role": "assistant", "content": "x"}]}, 400, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, 400, "input"),
        ({"input": [{"type": "mcp_approval_response", "approval_request_id": "r", "approve": True}]}, 400, "previous_response_id"),
        ({"input": [{"type": "mcp_approval_response", "approval_request_id": "r"}]}, 400, "input"),
        ({"previous_response_id": "resp_theirs"}, 400, "previous_response_id"),
        ({"input": [{"role": "user", "content": 7}]}, 400, "input"),
        ({"input": [{"role": "user", "content": [7]}]}, 400, "input"),
        ({"input": [{"role": "user", "content": {"a": 1}}]}, 400, "input"),
        ({"conversation": "conv_1"}, 404, "conversation"),
    ],
)
async def test_what_cannot_be_is_refused(place: Place, asked: dict[str, Any], status: int, param: str) -> None:
    house, _ = place
    answer = await house.ask("POST", "/v1/responses", {"model": "agent:desk", "input": "?", **asked})
    assert (answer.status, answer.json["error"]["param"]) == (status, param), answer.text


async def test_another_organisation_starts_only_what_is_shared(place: Place) -> None:
    house, provider = place
    provider.say = lambda messages: {"content": "ask them yourself"}
    stranger, _ = await house.outsider()
    async with client_of(place, stranger) as client:
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="agent:desk", input="?")
        assert (await client.responses.create(model="agent:secretary", input="?")).output_text == "ask them yourself"
