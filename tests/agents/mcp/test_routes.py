"""Trust in tools of a real MCP server, given and taken over HTTP, and what agents get of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.agents.mcp import desk
from tests.agents.test_service import Provider, call
from tests.agents.toolbox.tickets import EVIL, bound, served, tickets
from tests.edge.contract import Contract
from tests.gateway.upstream import serving
from tests.house import Answer, House, open_house

from penstock.agents.boxes.kept import Boxes
from penstock.agents.boxes.settings import McpBox
from penstock.agents.definition import Agent
from penstock.agents.faults import Permanent
from penstock.agents.mcp.servers import Servers
from penstock.agents.mcp.trust import Trust
from penstock.agents.toolbox import toolbox
from penstock.agents.tools import ToolContext
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Holders
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
OWN = ("/v1/agents/mcp", "/v1/agents/mcp/{name}", "/v1/agents/mcp/{name}/trust", "/v1/agents/mcp/{name}/distrust")
CONSENT = "/v1/agents/mcp/{name}/consent"
"""Held against the document in test_consents.py."""


class Place:
    def __init__(self, house: House, provider: Provider, held: socket.socket, contract: Contract) -> None:
        self.house = house
        self.provider = provider
        self.held = held
        self.contract = contract
        self.port = held.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"

    def again(self) -> socket.socket:
        """The same address, for the server that comes next."""
        return bound(self.port)

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        answer = await self.house.ask(method, f"/v1/agents/mcp{path}", body)
        self.contract.check(method, f"/v1/agents/mcp{path}", body, answer)
        return answer

    async def look(self) -> dict[str, Any]:
        return {one["name"]: one for one in (await self.ask("GET", "/tickets")).json["tools"]}

    async def run(self, **turn: Any) -> tuple[list[str], str]:
        """The tools that the clerk's model was told of, and what its call gave."""
        self.provider.say = lambda messages: turn if messages[-1]["role"] == "user" else {"content": str(messages[-1]["content"])}
        self.provider.asked.clear()
        made = await self.house.made("/v1/agents/clerk/runs", {"input": "Where is 3?"})
        journal = self.house.app.ports.get(Journal)
        ended = await journal.result(None, made["run"]["id"], 60.0)
        return [one["function"]["name"] for one in self.provider.asked[0].get("tools", [])], ended["output"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    provider, held = Provider(), bound()
    async with serving(provider) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            f'[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{desk.__name__}"]\n[agents.toolboxes.tickets]\nkind = "mcp"\n'
            f'url = "http://127.0.0.1:{held.getsockname()[1]}/mcp?secret=hidden-word"\nseconds = 30\neffects = {{ find = "read" }}\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield Place(house, provider, held, await Contract.of(house))


async def test_looked_at_trusted_changed_and_distrusted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.agents.toolbox.mcp_tools.LOOK_SECONDS", 0.0)
    async with served(tickets().streamable_http_app(), place.held):
        (server,) = (await place.ask("GET", "")).json["data"]
        assert server == {
            "name": "tickets",
            "transport": "url",
            "address": place.url,
            "believes": False,
            "trusted": 0,
            "distrusted": 0,
        }
        found = await place.look()
        assert {name: (one["state"], one["effect"]) for name, one in found.items()} == {
            "find": ("new", "read"),
            "label": ("new", "irreversible"),
            "close": ("new", "irreversible"),
            "tell": ("new", "irreversible"),
            "wait": ("new", "irreversible"),
        }
        # What nobody trusted is not there for a model.
        offered, told = await place.run(**call("tickets_find", number=3))
        assert (offered, "There is no tool 'tickets_find'" in told) == ([], True)

        seen = {name: found[name]["current"]["digest"] for name in ("find", "label")}
        trusted = await place.ask("POST", "/tickets/trust", {"tools": seen, "note": "reviewed"})
        assert {one["name"]: one["state"] for one in trusted.json["tools"]}["find"] == "trusted"
        offered, told = await place.run(**call("tickets_find", number=3))
        assert (offered, '"number":3' in told) == (["tickets_find"], True)
        for wrong, status in (({"find": "0" * 64}, 409), ({"nothing": "0" * 64}, 404), ({}, 400), ({"find": "x"}, 400)):
            assert (await place.ask("POST", "/tickets/trust", {"tools": wrong})).status == status

    async with served(tickets(EVIL).streamable_http_app(), place.again()):  # it comes back with other words
        _, told = await place.run(**call("tickets_find", number=3))
        assert "mcp_changed" in told
        find = (await place.look())["find"]
        assert (find["state"], find["pinned"]["description"], find["current"]["description"]) == ("changed", "Find a ticket.", EVIL)
        assert (await place.ask("POST", "/tickets/trust", {"tools": {"find": seen["find"]}})).status == 409  # that is gone
        assert (await place.ask("POST", "/tickets/trust", {"tools": {"find": find["current"]["digest"]}})).status == 200
        assert '"number":3' in (await place.run(**call("tickets_find", number=3)))[1]

    told = (await place.ask("GET", "/tickets")).json  # nobody is there
    assert (told["fault"] != "", {one["state"] for one in told["tools"]}) == (True, {"unknown"})
    assert "hidden-word" not in str(told)
    assert (await place.ask("POST", "/tickets/trust", {"tools": seen})).status == 502
    gone = await place.ask("POST", "/tickets/distrust", {"tools": ["find"], "note": "it was poisoned"})
    assert (gone.json["trusted"], gone.json["distrusted"]) == (1, 1)
    assert (await place.ask("POST", "/tickets/distrust", {"tools": ["label", "wait"]})).status == 404
    assert (await place.run(**call("tickets_find", number=3)))[0] == []
    assert (await place.look())["find"]["state"] == "distrusted"
    assert (await place.look())["label"]["state"] == "unknown"  # the refused request has changed nothing

    trail = (await place.house.ask("GET", "/v1/inbox/trail?subject=mcp/tickets&check=true")).json
    assert [(one["action"], sorted(one["details"]["tools"])) for one in reversed(trail["data"])] == [
        ("trusted", ["find", "label"]),
        ("trusted", ["find"]),
        ("distrusted", ["find"]),
    ]
    assert (trail["data"][0]["details"]["note"], trail["broken_at"]) == ("it was poisoned", None)
    assert {path for _, path, one in place.contract.operations() if one["operationId"] in place.contract.succeeded} >= set(OWN)


async def test_whose_they_are(place: Place) -> None:
    reader, _ = await place.house.key(scopes=["read", "call"])
    stranger, _ = await place.house.outsider()
    for key in (reader, stranger):
        for method, path, body in (("GET", "", None), ("GET", "/tickets", None), ("POST", "/tickets/distrust", {"tools": ["label"]})):
            answer = await place.house.ask(method, f"/v1/agents/mcp{path}", body, key=key)
            assert answer.status == 403, answer.text
    assert (await place.ask("GET", "/nobody")).status == 404


async def test_another_process(place: Place) -> None:
    """Trust that one worker was told of counts in the others: from the next run on, and what is trusted no more from the next call."""
    records = place.house.app.ports.get(Records)
    box = McpBox(url=place.url, believe=True, seconds=30.0)

    async def process() -> tuple[Boxes, Servers, Agent]:
        servers = Servers(Trust(records))
        boxes, agent = Boxes({"others": box}, servers), Agent("clerk", model="m", tools=[toolbox("others")])
        boxes.make()
        await boxes.fresh([agent], always=True)
        return boxes, servers, agent

    principal = place.house.app.ports.get(Holders).holder_of((await place.house.key(scopes=["admin"]))[1])
    context = ToolContext(key="run/call/1", attempt=1, run="run", organisation="org")
    async with served(tickets().streamable_http_app(), place.again()):
        (_, first, _), (boxes, second, agent) = await process(), await process()
        assert agent.tools == {}
        found = {one.name: one.current for one in (await first.look(principal, "others")).tools}
        digest = found["find"].digest if found["find"] is not None else ""
        await first.trust(principal, "others", {"find": digest}, "")
        await boxes.fresh([agent])
        find = agent.tools["others_find"]
        assert (find.effect, find.offered) == ("read", True)
        assert (await find.perform({"number": 3}, context))["number"] == 3
        await first.distrust(principal, "others", ["find"], "")
        with pytest.raises(Permanent, match="mcp_distrusted"):  # though it was not looked at since
            await find.perform({"number": 3}, context)
        await boxes.fresh([agent])
        assert not agent.tools["others_find"].offered
        _, third, restarted = await process()
        assert [one.offered for one in restarted.tools.values()] == [False]
        await asyncio.gather(*(one.close() for one in (first, second, third)))
