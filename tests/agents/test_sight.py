"""What a run of an agent was told and said is for whoever started it, and for those who may open prompts and replies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents import sample
from tests.agents.test_service import Provider, call
from tests.gateway.upstream import serving
from tests.house import House, open_house

from penstock.kernel.agents import AgentRuns
from penstock.kernel.errors import Forbidden
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Holders

pytestmark = pytest.mark.timeout(60)

SECRET = "what the customer wrote"
SETTINGS = """[gateway]
discover = false
local_embeddings = false
[gateway.providers.up]
profile = "openai-compatible"
base_url = "{url}"
models = ["m"]
[journal]
poll_seconds = 0.02
[observability]
payload_scope = "admin"
[agents]
modules = ["{module}"]
"""


async def key(house: House, *scopes: str) -> tuple[str, str]:
    """A key's secret and its id."""
    made: dict[str, Any] = (await house.ask("POST", "/v1/keys", {"name": "-".join(scopes), "scopes": list(scopes)})).json
    return made["secret"], made["key"]["id"]


async def test_only_who_started_it_and_who_may_open_payloads_see_what_was_said(tmp_path: Path) -> None:
    provider = Provider()
    turns = [call("look_up", order=SECRET), {"content": SECRET}]
    provider.say = lambda messages: turns[sum(one["role"] == "assistant" for one in messages)]
    async with serving(provider) as up, open_house(tmp_path, SETTINGS.format(url=up.url, module=sample.__name__)) as house:
        mine, mine_id = await key(house, "call", "read")
        other, other_id = await key(house, "call", "read")
        run = (await house.ask("POST", "/v1/agents/desk/runs", {"input": SECRET}, key=mine)).json["run"]["id"]
        await house.app.ports.get(Journal).result(None, run, 30.0)

        for secret, whole in ((mine, True), (None, True), (other, False)):
            told = await house.ask("GET", f"/v1/agents/runs/{run}", key=secret)
            assert told.status == 200
            assert (SECRET in told.text) is whole
            assert told.json["ended"]["state"] == "done", "what happened is for everyone who sees the run"

        runs, holders = house.app.ports.get(AgentRuns), house.app.ports.get(Holders)
        owner, stranger = holders.holder_of(mine_id), holders.holder_of(other_id)
        assert [event.text async for event in runs.watch(owner, run) if event.kind == "said"][-1] == SECRET
        with pytest.raises(Forbidden):
            await anext(runs.watch(stranger, run))
        standing = await runs.look(stranger, run)
        assert standing.ended is not None
        assert (standing.ended.state, standing.ended.output) == ("done", None)
        seen = (await house.ask("GET", "/v1/payloads/access")).json["data"]
        assert [line["subject"] for line in seen if line["kind"] == "run"] == [run], "an admin looked; whoever started it leaves no line"
