"""Conversations as OpenAI's own SDK keeps them, and responses that stand in one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from tests.edge.contract import Contract
from tests.responses.provider import Rig, rigged

from penstock.responses.conversation import Conversations
from penstock.responses.settings import ResponsesSettings
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rigged(tmp_path_factory.mktemp("house"), "[responses]\nmax_chain_bytes = 4000\n") as made:
        yield made


def message(text: str) -> Any:
    return {"type": "message", "role": "user", "content": text}


async def test_it_is_kept_changed_and_deleted(rig: Rig) -> None:
    conversations = rig.client.conversations
    made = await conversations.create(items=[message("one"), message("two")], metadata={"topic": "rivers"})
    assert (made.object, made.metadata, made.id.startswith("conv_")) == ("conversation", {"topic": "rivers"}, True)
    assert await conversations.retrieve(made.id) == made
    assert (await conversations.update(made.id, metadata={"topic": "lakes"})).metadata == {"topic": "lakes"}
    added = await conversations.items.create(made.id, items=[message("three"), {**message("four"), "id": "msg_mine"}])
    assert [one.content[0].text for one in added.data] == ["three", "four"]  # type: ignore[union-attr]
    page = await conversations.items.list(made.id, limit=3)
    assert (page.has_more, page.data[0].id, len(page.data)) == (True, "msg_mine", 3)
    listed: list[Any] = [one async for one in conversations.items.list(made.id, limit=2, order="asc")]
    assert [one.content[0].text for one in listed] == ["one", "two", "three", "four"]
    assert {one.status for one in listed} == {"completed"}
    shown: Any = await conversations.items.retrieve("msg_mine", conversation_id=made.id)
    assert shown == listed[3]
    assert (await conversations.items.delete("msg_mine", conversation_id=made.id)).id == made.id
    with pytest.raises(openai.NotFoundError):
        await conversations.items.retrieve("msg_mine", conversation_id=made.id)
    gone = await conversations.delete(made.id)
    assert (gone.deleted, gone.object) == (True, "conversation.deleted")
    for ask in (conversations.retrieve, conversations.delete, conversations.items.list):
        with pytest.raises(openai.NotFoundError):
            await ask(made.id)


async def test_responses_go_on_with_it_and_leave_their_items(rig: Rig) -> None:
    made = await rig.client.conversations.create(items=[message("before")])
    first = await rig.client.responses.create(model="r", input="one", conversation=made.id)
    assert first.conversation is not None
    assert first.conversation.id == made.id
    assert "conversation" not in rig.provider.bodies[-1]
    streamed = [one async for one in await rig.client.responses.create(model="r", input="two", conversation={"id": made.id}, stream=True)]
    assert streamed[-1].type == "response.completed"
    hidden = await rig.client.responses.create(model="r", input="three", conversation=made.id, store=False)
    with pytest.raises(openai.NotFoundError):
        await rig.client.responses.retrieve(hidden.id)
    worked = await rig.client.responses.create(model="r", input="four", conversation=made.id, background=True)
    assert (await rig.ended(worked.id)).status == "completed"
    asked = rig.provider.bodies[-1]["input"]
    said = [one["content"] if isinstance(one["content"], str) else one["content"][0]["text"] for one in asked]
    told = [first.output_text, streamed[-1].response.output_text, hidden.output_text]
    assert said == ["before", "one", told[0], "two", told[1], "three", told[2], "four"]
    items: list[Any] = [one async for one in rig.client.conversations.items.list(made.id, order="asc") if one.type == "message"]
    assert [one.role for one in items] == ["user", *(["user", "assistant"] * 4)]


async def test_the_document_is_true_and_what_cannot_be_is_refused(rig: Rig) -> None:
    contract = await Contract.of(rig.house)
    made = await rig.client.conversations.create()
    path = f"/v1/conversations/{made.id}"
    right: list[tuple[str, str, Any, int]] = [
        ("POST", "/v1/conversations", {"items": [message("x")], "metadata": None}, 200),
        ("GET", path, None, 200),
        ("POST", path, {"metadata": {"x": "y"}}, 200),
        ("POST", f"{path}/items", {"items": [{**message("x"), "id": "msg_x"}]}, 200),
        ("GET", f"{path}/items?order=asc", None, 200),
        ("GET", f"{path}/items/msg_x", None, 200),
        ("DELETE", f"{path}/items/msg_x", None, 200),
    ]
    wrong: list[tuple[str, str, Any, int]] = [
        ("POST", "/v1/conversations", {"items": [message("x")] * 21}, 400),
        ("POST", "/v1/conversations", {"items": "x"}, 400),
        ("POST", "/v1/conversations", {"metadata": {"x" * 65: "y"}}, 400),
        ("POST", "/v1/conversations", {"metadata": {str(n): "y" for n in range(17)}}, 400),
        ("POST", path, {"metadata": {"x": "y" * 513}}, 400),
        ("POST", "/v1/conversations", {"name": "x"}, 400),
        ("POST", f"{path}/items", {}, 400),
        ("POST", f"{path}/items", {"items": [5]}, 400),
        ("POST", f"{path}/items", {"items": [message("x" * 5000)]}, 413),
        ("GET", f"{path}/items?after=msg_none", None, 404),
        ("GET", f"{path}/items?limit=0", None, 400),
        ("GET", f"{path}/items/msg_none", None, 404),
        ("DELETE", f"{path}/items/msg_none", None, 404),
        ("GET", "/v1/conversations/conv_1", None, 404),
        ("DELETE", "/v1/conversations/%00", None, 404),
    ]
    for method, url, body, status in (*right, *wrong, ("DELETE", path, None, 200)):
        answer = await rig.house.ask(method, url, body)
        contract.check(method, url, body, answer)
        assert answer.status == status, (url, answer.text)
    answer = await rig.house.ask("POST", "/v1/responses", {"model": "r", "input": "x", "conversation": "conv_1"})
    assert (answer.status, answer.json["error"]["param"]) == (404, "conversation")


async def test_another_organisation_sees_nothing(rig: Rig) -> None:
    made = await rig.client.conversations.create(items=[{**message("hushed"), "id": "msg_1"}])
    theirs, _ = await rig.house.outsider()
    async with rig.of(theirs) as client:
        for ask in (client.conversations.retrieve, client.conversations.delete, client.conversations.items.list):
            with pytest.raises(openai.NotFoundError):
                await ask(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.create(made.id, items=[message("x")])
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.delete("msg_1", conversation_id=made.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="r", input="x", conversation=made.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="r", input="x", conversation=made.id, background=True)


async def test_what_nobody_uses_goes(rig: Rig) -> None:
    made = await rig.client.conversations.create(items=[message("x")])
    later = made.created_at + 2 * 86_400
    conversations = Conversations(rig.house.app.ports.get(Records), ResponsesSettings(conversation_days=1.0), clock=lambda: later)
    assert await conversations.expire() >= 1
    with pytest.raises(openai.NotFoundError):
        await rig.client.conversations.retrieve(made.id)
