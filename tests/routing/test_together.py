"""Routing with the rooms that it lives among: tasks from the settings, evidence from quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, open_house
from tests.registry.people import REPLY

pytestmark = pytest.mark.timeout(60)

TASK = """
[tasks."sums"]
owner = "maths"
default = "up/large"
candidates = ["up/small", "up/large"]
data_class = "public"
judge = { kind = "numeric" }
floor = { level = 0.95 }
"""


async def test_a_declared_task_is_routed_and_says_what_it_lacks(tmp_path: Path) -> None:
    async def provider(peer: Conversation) -> None:
        while True:
            await peer.request()
            await peer.json(REPLY)

    async with serving(provider) as upstream:
        settings = (
            SETTINGS + f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["small", "large"]\n'
        )
        async with open_house(tmp_path, settings + TASK) as house:

            async def call(name: str) -> Any:
                return await house.ask(
                    "POST", "/v1/chat/completions", {"model": f"task:{name}", "messages": [{"role": "user", "content": "hi"}]}
                )

            answer = await call("sums")
            assert (answer.status, answer.headers["x-penstock-model"]) == (200, "large")
            why = (await house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}/why")).json
            assert (why["mode"], why["chosen"]) == ("default", "up/large")
            assert "nothing is certified" in why["why"]
            assert [one["candidate"] for one in why["candidates"]] == ["up/small", "up/large"]
            findings = (await house.ask("GET", "/v1/tasks/sums/check")).json["findings"]
            (certificate,) = [one for one in findings if one["name"] == "certificate"]
            assert certificate["status"] == "fail"
            assert "nothing is certified yet" in certificate["what"]
            page = await house.ask("GET", "/console/tasks/sums")
            assert "/console/tasks/sums/frontier" in page.text
            empty = await house.ask("GET", "/console/tasks/sums/frontier")
            assert empty.status == 200
            assert "Nothing to draw yet" in empty.text
