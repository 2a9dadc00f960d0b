"""Approvals and revocations as marks, over the API."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.registry.people import Rig, rig

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as made:
        yield made


async def test_what_was_approved_and_revoked_stands_on_the_axis(house: Rig) -> None:
    since = time.time() - 60
    id = await house.version("v/marked")
    evaluation = {"metric": "exact", "value": 0.9, "low": 0.85, "high": 0.94, "examples": 200}
    await house.step(id, "evaluations", evaluation)
    approved = await house.step(id, "approvals", {"reason": "good", "coverage": "task", "name": "triage"}, key=house.second)
    assert approved.json["state"] == "approved"
    await house.step(id, "revocation", {"reason": "worse"})
    query = f"since={since}&until={time.time() + 60}"
    marks = (await house.house.ask("GET", f"/v1/marks?{query}")).json["data"]
    number = approved.json["number"]
    assert [(one["kind"], one["href"]) for one in marks] == [("release", f"/console/models/{id}")] * 2
    assert marks[0]["title"].endswith(f" {number} approved for triage")
    assert marks[1]["title"].endswith(f" {number} revoked")
    assert marks[0]["at"] < marks[1]["at"]
    secret, _ = await house.house.outsider()
    assert (await house.house.ask("GET", f"/v1/marks?{query}", key=secret)).json["data"] == []
    assert (await house.house.ask("GET", f"/v1/marks?since=1&until={since}")).json["data"] == []
