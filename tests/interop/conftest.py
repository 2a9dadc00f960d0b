"""One house with agents in memory for the tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house
from tests.interop.scripted import ScriptedRoom, ScriptedRuns

SETTINGS = """[gateway]
discover = false
local_embeddings = false
[gateway.providers.up]
profile = "openai-compatible"
base_url = "{url}"
models = ["m"]
[tasks."greet.people"]
owner = "ada"
candidates = ["up/m"]
description = "Greets."
[interop]
agent = "desk"
origins = ["https://desk.example.com"]
push_hosts = ["127.0.0.1"]
"""
REPLY = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Good day."}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'  # noqa: E501


class Stand:
    """The house and the agents in it."""

    def __init__(self, house: House, runs: ScriptedRuns) -> None:
        self.house = house
        self.runs = runs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    room = ScriptedRoom()

    async def model(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.json(REPLY)

    async with serving(model) as upstream:
        settings = SETTINGS.format(url=upstream.url)
        async with open_house(tmp_path_factory.mktemp("interop"), settings, more=(room,), without=("agents",)) as house:
            yield Stand(house, room.runs)
            await room.runs.close()
