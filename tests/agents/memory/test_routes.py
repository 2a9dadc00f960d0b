"""Threads and memory in a house: agents that go on, remember and recall over a real line; who sees what; who is erased."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.agents.memory import sample
from tests.agents.test_service import Place, Provider, call
from tests.edge.contract import Contract
from tests.gateway.upstream import serving
from tests.house import House, open_house

from penstock.kernel.journal import Journal

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
START, THREADS, MEMORY = "/v1/agents/desk/runs", "/v1/agents/threads", "/v1/agents/memory"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    provider = Provider()
    async with serving(provider) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            f'[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{sample.__name__}"]\n[agents.memory]\nmost_characters = 200\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield house, provider


async def ran(house: House, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """How a run of the desk ended, once it has."""
    run = (await house.made(START, body, key=key))["run"]["id"]
    await house.app.ports.get(Journal).result(None, run, 30.0)
    return (await house.ask("GET", f"/v1/agents/runs/{run}")).json


async def person(house: House, name: str, **more: Any) -> tuple[str, str]:
    """A person's id and the secret of their key."""
    made = await house.made("/v1/people", {"name": name, "organisation": await house.home()})
    secret, _ = await house.key(person=made["id"], scopes=["call", "read"], **more)
    return made["id"], secret


def says(*turns: dict[str, Any]) -> Any:
    """A model that says these in turn, counted from the last thing that its user said."""

    def say(messages: list[dict[str, Any]]) -> dict[str, Any]:
        last = max(place for place, one in enumerate(messages) if one["role"] == "user")
        return turns[sum(one["role"] == "assistant" for one in messages[last:])]

    return say


async def test_a_run_goes_on_with_its_thread(place: Place) -> None:
    house, provider = place
    contract = await Contract.of(house)
    ada, key = await person(house, "Ada")
    provider.say = says({"content": "by the Elbe"})
    first = await ran(house, {"input": "where do I live?", "thread": "talk-1"}, key)
    assert first["ended"]["output"] == "by the Elbe"
    await ran(house, {"input": "which side?", "thread": "talk-1"}, key)
    told = provider.asked[-1]["messages"]
    assert [(one["role"], one["content"]) for one in told] == [
        *(("system", "Help."), ("user", "where do I live?"), ("assistant", "by the Elbe"), ("user", "which side?")),
    ]
    answer = await house.ask("GET", f"{THREADS}/talk-1", key=key)
    contract.check("GET", f"{THREADS}/talk-1", None, answer)
    assert (answer.json["thread"]["person"], len(answer.json["messages"]), len(answer.json["runs"])) == (ada, 4, 2)
    _, stranger = await person(house, "Bob")
    for method in ("GET", "DELETE"):
        assert (await house.ask(method, f"{THREADS}/talk-1", key=stranger)).status == 404
    refused = await house.ask("POST", START, {"input": "x", "thread": "talk-1"}, key=stranger)
    assert (refused.status, refused.json["error"]["param"]) == (404, "thread")
    assert (await house.ask("POST", START, {"input": "x", "thread": "a/b"}, key=key)).status == 400
    assert (await house.ask("GET", f"{THREADS}?agent=desk", key=stranger)).json["data"] == []
    listed = await house.ask("GET", f"{THREADS}?person={ada}")
    contract.check("GET", THREADS, None, listed)
    assert [one["id"] for one in listed.json["data"]] == ["talk-1"]
    gone = await house.ask("DELETE", f"{THREADS}/talk-1", key=key)
    contract.check("DELETE", f"{THREADS}/talk-1", None, gone)
    assert gone.status == 204
    assert (await house.ask("GET", f"{THREADS}/talk-1")).status == 404


async def test_an_agent_remembers_for_its_person_alone(place: Place) -> None:
    house, provider = place
    ada, key = await person(house, "Ada")
    _, other = await person(house, "Bob")
    provider.say = says(call("remember", text="Ada is allergic to nuts", labels=["food"]), {"content": "I will"})
    told = await ran(house, {"input": "remember that"}, key)
    assert [(one["tool"], one["state"]) for one in told["effects"]] == [("remember", "done")]
    provider.say = says(call("recall", query="what may she eat, nuts?"), {"content": "no nuts"})
    await ran(house, {"input": "may I have cake?"}, key)
    result = json.loads(provider.asked[-1]["messages"][-1]["content"])
    assert [(one["text"], one["scope"], one["labels"]) for one in result] == [("Ada is allergic to nuts", "person", ["food"])]
    await ran(house, {"input": "may I have cake?"}, other)
    assert provider.asked[-1]["messages"][-1]["content"] == "[]"
    (kept,) = (await house.ask("GET", f"{MEMORY}?q=nuts", key=key)).json["data"]
    assert (kept["owner"], kept["agent"], kept["run"]) == (ada, "desk", told["run"]["id"])
    assert (await house.ask("GET", f"{MEMORY}/{kept['id']}", key=other)).status == 404
    provider.say = says(call("forget", id=kept["id"]), {"content": "done"})
    await ran(house, {"input": "forget it"}, other)
    assert "never yours" in provider.asked[-1]["messages"][-1]["content"]
    await ran(house, {"input": "forget it"}, key)
    assert (await house.ask("GET", f"{MEMORY}/{kept['id']}", key=key)).status == 404
    provider.say = says(call("remember", text="x" * 300), {"content": "too long"})
    await ran(house, {"input": "?"}, key)
    assert "most_characters" in provider.asked[-1]["messages"][-1]["content"]
    provider.say = says(call("remember", text="for nobody"), {"content": "cannot"})
    await ran(house, {"input": "?"})
    assert "no person" in provider.asked[-1]["messages"][-1]["content"]


async def test_people_read_and_write_what_is_theirs(place: Place) -> None:
    house, _ = place
    contract = await Contract.of(house)

    async def ask(method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
        answer = await house.ask(method, path, body, key=key)
        contract.check(method, path, body, answer)
        assert answer.status == status, answer.text
        return answer.json

    ada, key = await person(house, "Ada")
    mine = await ask("POST", MEMORY, {"text": "I prefer tea", "labels": ["taste"]}, status=201, key=key)
    assert (mine["scope"], mine["owner"], mine["person"], mine["agent"]) == ("person", ada, ada, "")
    agents = await ask("POST", MEMORY, {"text": "refunds need two people", "scope": "agent", "owner": "desk", "days": 3}, status=201)
    assert (await ask("GET", f"{MEMORY}/{mine['id']}", key=key)) == mine
    assert [one["id"] for one in (await ask("GET", f"{MEMORY}?label=taste", key=key))["data"]] == [mine["id"]]
    assert [one["id"] for one in (await ask("GET", f"{MEMORY}?scope=agent&owner=desk&q=refund"))["data"]] == [agents["id"]]
    await ask("POST", MEMORY, {"text": "x", "scope": "agent", "owner": "desk"}, status=403, key=key)
    await ask("POST", MEMORY, {"text": "x", "scope": "team"}, status=403, key=key)
    await ask("POST", MEMORY, {"text": "x", "scope": "agent"}, status=400)
    await ask("POST", MEMORY, {"text": "x", "scope": "house", "owner": "x"}, status=400)
    await ask("POST", MEMORY, {"text": " ", "owner": "x"}, status=400)
    await ask("GET", f"{MEMORY}?scope=agent&owner=desk", status=403, key=key)
    await ask("GET", f"{MEMORY}?owner=desk", status=400)
    await ask("GET", f"{MEMORY}/{agents['id']}", status=404, key=key)
    await ask("DELETE", f"{MEMORY}/{agents['id']}", status=404, key=key)
    stranger, _ = await house.outsider()
    await ask("GET", f"{MEMORY}/{mine['id']}", status=404, key=stranger)
    assert (await ask("GET", f"{MEMORY}?q=tea", key=stranger))["data"] == []
    await ask("DELETE", f"{MEMORY}/{agents['id']}", status=204)
    reader, _ = await house.key(scopes=["read"])
    await ask("DELETE", f"{MEMORY}/{mine['id']}", status=403, key=reader)


async def test_a_person_who_is_erased_leaves_nothing(place: Place) -> None:
    house, provider = place
    ada, key = await person(house, "Ada")
    provider.say = says({"content": "hello"})
    await ran(house, {"input": "hi", "thread": "hers"}, key)
    await house.made(MEMORY, {"text": "she was here"}, key=key)
    made = await house.ask("POST", "/v1/conversations", {"items": [{"role": "user", "content": "hi"}]}, key=key)
    turn = await house.ask("POST", "/v1/responses", {"model": "up/m", "input": "hi"}, key=key)
    assert (made.status, turn.status) == (200, 200)
    erased = (await house.ask("DELETE", f"/v1/people/{ada}/records")).json
    assert {room: count for room, count in erased["others"].items() if count} == {"memory": 2, "responses": 2, "runs": 1}
    for path in (f"{THREADS}/hers", f"/v1/conversations/{made.json['id']}", f"/v1/responses/{turn.json['id']}"):
        assert (await house.ask("GET", path)).status == 404
    assert (await house.ask("GET", f"{MEMORY}?scope=person&owner={ada}")).json["data"] == []
