"""Agents of the settings, started over HTTP, asking real models over the line, charged to the key that started them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.agents import sample
from tests.edge.contract import Contract
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

from penstock.agents import wiring as agents_wiring
from penstock.agents.effects import Effects
from penstock.app import App, capabilities, load_settings, open_store
from penstock.kernel.errors import SettingsError
from penstock.kernel.journal import Journal
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
OWN = (
    "/v1/agents",
    "/v1/agents/{name}/runs",
    "/v1/agents/runs/{id}",
    "/v1/agents/effects/in-doubt",
    "/v1/agents/effects/settle",
    "/v1/events",
)
"""Routes that are held against the document here."""


class Provider:
    """Answers chat completions with what ``say`` makes of their messages."""

    def __init__(self) -> None:
        self.say: Callable[[list[dict[str, Any]]], dict[str, Any]] = lambda messages: {"content": "hello"}
        self.asked: list[dict[str, Any]] = []
        self.held = asyncio.Event()
        self.held.set()

    async def __call__(self, peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            asked = json.loads(body)
            self.asked.append(asked)
            await self.held.wait()
            message = {"role": "assistant", **self.say(asked["messages"])}
            finish = "tool_calls" if "tool_calls" in message else "stop"
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
            await peer.json(json.dumps(whole).encode())


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A turn that asks for one tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


Place = tuple[House, Provider]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    provider = Provider()
    async with serving(provider) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            '[finops.prices."up/m"]\ninput = 1.0\noutput = 2.0\n[journal]\npoll_seconds = 0.02\n'
            f'[agents]\nmodules = ["{sample.__name__}"]\nshared = ["secretary"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield house, provider


async def ended(house: House, run: str, *, key: str | None = None) -> dict[str, Any]:
    """The run of an agent once it has ended."""
    await house.app.ports.get(Journal).result(None, run, 30.0)
    return (await house.ask("GET", f"/v1/agents/runs/{run}", key=key)).json


async def test_the_document_is_true_and_a_run_is_made_once(place: Place) -> None:
    house, provider = place
    contract = await Contract.of(house)

    async def ask(method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
        answer = await house.ask(method, path, body, key=key)
        contract.check(method, path, body, answer)
        assert answer.status == status, answer.text
        return answer.json

    desk, greet, secretary = (await ask("GET", "/v1/agents"))["data"]
    assert (desk["name"], desk["tools"], desk["limits"]["turns"]) == ("desk", {"look_up": "read", "notify": "write"}, 50)
    assert (greet["kind"], list(greet["input"]["properties"]), greet["output"]) == ("workflow", ["who", "times"], {"type": "string"})
    assert (secretary["asks"], secretary["shared"]) == (["desk"], True)

    sample.sent.clear()
    turns = [call("look_up", order="7"), call("notify", text="it is on its way"), {"content": "done"}]
    provider.say = lambda messages: turns[sum(one["role"] == "assistant" for one in messages)]
    body = {"input": "where is order 7?", "key": "ticket-7", "limits": {"usd": 1.0}, "person": "ada"}
    run = (await ask("POST", "/v1/agents/desk/runs", body, status=201))["run"]["id"]
    assert (await ask("POST", "/v1/agents/desk/runs", body, status=201))["run"]["id"] == run
    told = await ended(house, run)
    assert (told["ended"]["state"], told["ended"]["output"]) == ("done", "done")
    assert told["ended"]["spent"]["cost"] == 3 * 13
    assert sample.sent == ["it is on its way"]
    assert [(one["tool"], one["state"]) for one in told["effects"]] == [("notify", "done")]
    assert provider.asked[-1]["messages"][0] == {"role": "system", "content": "Help."}
    assert [one["function"]["name"] for one in provider.asked[-1]["tools"]] == ["look_up", "notify"]
    assert (await ask("GET", f"/v1/agents/runs/{run}"))["run"]["labels"] == {"agent": "desk"}
    assert (await ask("GET", "/v1/agents/effects/in-doubt", "/v1/agents/effects/settle"))["data"] == []

    greeted = (await ask("POST", "/v1/agents/greet/runs", {"input": {"who": "Ada", "times": 2}}, status=201))["run"]
    event = {"name": "greeted", "data": {"who": "Ada"}, "key": "once"}
    sent = await ask("POST", "/v1/events", event, status=201)
    assert (await ask("POST", "/v1/events", event, status=201))["id"] == sent["id"]
    assert (await ended(house, greeted["id"]))["ended"]["output"] == "Hello Ada, Ada"
    await ask("POST", "/v1/agents/greet/runs", {"input": {"who": 1}}, status=400)
    await ask("POST", "/v1/events", {"data": 1}, status=400)

    await ask("POST", "/v1/agents/nobody/runs", {"input": "?"}, status=404)
    await ask("POST", "/v1/agents/desk/runs", {"input": ""}, status=400)
    await ask("POST", "/v1/agents/desk/runs", {"input": "?", "limits": {"euros": 1}}, status=400)
    await ask("GET", "/v1/agents/runs/nothing", status=404)


async def test_a_key_of_a_person_works_for_nobody_else(place: Place) -> None:
    house, provider = place
    provider.say = lambda messages: {"content": "done"}
    ada = (await house.made("/v1/people", {"name": "Ada", "organisation": await house.home()}))["id"]
    secret, _ = await house.key(person=ada, scopes=["call", "read"])
    start = "/v1/agents/desk/runs"
    assert (await house.ask("POST", start, {"input": "?", "person": "bob"}, key=secret)).status == 403
    made = await house.made(start, {"input": "?", "person": ada}, key=secret)
    assert (await ended(house, made["run"]["id"], key=secret))["ended"]["state"] == "done"


async def test_another_organisation_starts_only_what_is_shared_and_sees_only_its_own(place: Place) -> None:
    house, provider = place
    stranger, organisation = await house.outsider()
    provider.say = lambda messages: {"content": "ask them yourself"}
    assert [one["name"] for one in (await house.ask("GET", "/v1/agents", key=stranger)).json["data"]] == ["secretary"]
    assert (await house.ask("POST", "/v1/agents/desk/runs", {"input": "?"}, key=stranger)).status == 404
    made = await house.made("/v1/agents/secretary/runs", {"input": "?"}, key=stranger)
    told = await ended(house, made["run"]["id"], key=stranger)
    assert (told["run"]["organisation"], told["ended"]["output"]) == (organisation, "ask them yourself")
    mine = await house.made("/v1/agents/desk/runs", {"input": "?"})
    assert (await house.ask("GET", f"/v1/agents/runs/{mine['run']['id']}", key=stranger)).status == 404
    effects = Effects(house.app.ports.get(Records))
    await effects.begin("run/call/2", await house.home(), "run", "pay", "irreversible")
    await effects.end("run/call/2", "in_doubt", {"state": "in_doubt"})
    told = {"key": "run/call/2", "state": "failed", "note": "we say so"}
    assert (await house.ask("POST", "/v1/agents/effects/settle", told, key=stranger)).status == 404
    assert (await house.ask("POST", "/v1/agents/effects/settle", told)).status == 200
    reader, _ = await house.key(scopes=["read"])
    assert (await house.ask("POST", "/v1/agents/desk/runs", {"input": "?"}, key=reader)).status == 403


async def test_a_key_that_is_revoked_asks_nothing_more(place: Place) -> None:
    house, provider = place
    secret, id = await house.key(scopes=["call", "read"])
    provider.say = lambda messages: call("look_up", order=str(len(messages)))
    provider.held.clear()
    made = await house.made("/v1/agents/desk/runs", {"input": "?"}, key=secret)
    revoked = await house.ask("POST", f"/v1/keys/{id}/revoke")
    provider.held.set()
    assert revoked.status == 200, revoked.text
    told = (await ended(house, made["run"]["id"]))["ended"]
    assert (told["state"], told["code"], told["spent"]["turns"] <= 1) == ("failed", "revoked_api_key", True)


async def test_what_upstream_says_wrong_ends_the_run_with_its_code(place: Place) -> None:
    house, provider = place
    provider.say = lambda messages: {"content": None, "tool_calls": [{"type": "function", "function": {"arguments": "{"}}]}
    made = await house.made("/v1/agents/desk/runs", {"input": "?", "limits": {"turns": 3}})
    told = await ended(house, made["run"]["id"])
    assert (told["ended"]["state"], told["ended"]["code"]) in (("limit", "limit_turns"), ("failed", "bad_reply")), told


async def test_the_doctor_names_them(place: Place) -> None:
    house, _ = place
    check, _ = house.app.offers["agents"].checks
    assert [(one.status, one.what) for one in await check()] == [("ok", "desk, greet, secretary")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents_wiring, "installed", lambda: False)
        assert [(one.status, one.mend) for one in await check()] == [("fail", "pip install 'penstock[journal]'")]
    effects = Effects(house.app.ports.get(Records))
    await effects.begin("run/call/1", "org", "run", "pay", "irreversible")
    await effects.end("run/call/1", "in_doubt", {"state": "in_doubt"})
    (finding,) = await check()
    assert (finding.status, "the oldest of pay" in finding.what) == ("warn", True)

    contract = await Contract.of(house)
    reader, _ = await house.key(scopes=["read"])
    told = {"key": "run/call/1", "state": "done", "note": "it is on the statement"}
    for key, body, status in (
        *((reader, told, 403), (None, {**told, "state": "maybe"}, 400), (None, {**told, "key": "none"}, 404)),
        *((None, told, 200), (None, told, 409)),
    ):
        answer = await house.ask("POST", "/v1/agents/effects/settle", body, key=key)
        contract.check("POST", "/v1/agents/effects/settle", body, answer)
        assert answer.status == status, answer.text
    (line,) = [one for one in await effects.of_run(None, "run") if one.key == "run/call/1"]
    assert (line.state, line.outcome["text"], line.outcome["before"]) == ("done", "it is on the statement", {"state": "in_doubt"})
    assert [one.status for one in await check()] == ["ok"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            'modules = ["penstock.nowhere"]',
            r"'penstock\.nowhere' cannot be loaded: there is no module 'penstock.nowhere'; start",
        ),
        (
            'modules = ["penstock.agents.limits"]',
            r"'penstock.agents.limits' cannot be used: there is neither an agent nor a workflow",
        ),
        (f'modules = ["{sample.__name__}"]\nshared = ["nobody"]', "there is no agent nobody"),
    ],
)
async def test_settings_that_cannot_be_are_said_at_the_start(tmp_path: Path, told: str, said: str) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n[gateway]\ndiscover = false\n[agents]\n{told}\n')
    rooms = capabilities()
    settings = load_settings(rooms, config)
    app = App(rooms, settings, open_store(settings))
    check = next(one for one in app.offers["agents"].checks if "AgentLife" in one.__qualname__)
    with pytest.raises(SettingsError, match=said):
        await check()
    app.store.close()
