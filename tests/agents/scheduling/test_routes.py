"""Schedules over HTTP, in a house."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.agents import sample
from tests.edge.contract import Contract
from tests.house import Answer, open_house

pytestmark = pytest.mark.timeout(90)
OWN = ("/v1/schedules", *(f"/v1/schedules/{{id}}/{what}" for what in ("cancel", "pause", "resume")))
SETTINGS = (
    f'[gateway]\ndiscover = false\nlocal_embeddings = false\n[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{sample.__name__}"]\n'
)


async def test_made_started_listed_and_cancelled(tmp_path: Path) -> None:
    async with open_house(tmp_path, SETTINGS) as house:
        contract = await Contract.of(house)

        async def ask(method: str, path: str, body: Any = None) -> Answer:
            answer = await house.ask(method, path, body)
            contract.check(method, path, body, answer)
            return answer

        daily = {"agent": "secretary", "input": "x", "cron": "0 18 * * 1-5", "zone": "Europe/Berlin"}
        made = await ask("POST", "/v1/schedules", daily)
        assert made.status == 201
        assert (made.json["state"], made.json["next_at"] > time.time()) == ("active", True)
        id = made.json["id"]
        paused = await ask("POST", f"/v1/schedules/{id}/pause")
        assert (paused.json["state"], paused.json["paused_at"] > 0) == ("paused", True)
        resumed = await ask("POST", f"/v1/schedules/{id}/resume", {"skip": True})
        assert (resumed.json["state"], resumed.json["next_at"]) == ("active", made.json["next_at"])
        assert (await ask("POST", f"/v1/schedules/{id}/resume", {})).status == 409
        cancelled = await ask("POST", f"/v1/schedules/{id}/cancel")
        assert cancelled.json["state"] == "cancelled"
        assert (await ask("POST", f"/v1/schedules/{id}/cancel")).status == 409
        for wrong in ({"agent": "secretary", "input": "x"}, {**daily, "cron": "often"}, {**daily, "zone": "Mars"}):
            assert (await ask("POST", "/v1/schedules", wrong)).status == 400
        assert (await ask("POST", "/v1/schedules", {**daily, "agent": "nobody"})).status == 404
        now = await ask("POST", "/v1/schedules", {"agent": "secretary", "input": "x", "at": time.time(), "key": "now"})
        while True:  # the house's own rounds start it
            found = {one["id"]: one for one in (await ask("GET", "/v1/schedules")).json["data"]}
            if found[now.json["id"]]["state"] == "ended":
                break
        run = found[now.json["id"]]["last_run"]
        assert (await house.ask("GET", f"/v1/agents/runs/{run}")).status == 200
