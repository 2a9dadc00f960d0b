"""Processes that are really killed: an attempt to certify goes on in the next one, and ends once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.batches.house import until
from tests.routing.process import Working
from tests.routing.work import ROWS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def test_an_attempt_that_is_killed_is_taken_up_by_the_next_process(tmp_path: Path) -> None:
    process = Working(tmp_path, "http://127.0.0.1:9", {ROWS: "100"})

    async def running() -> bool:
        return (await process.ask("GET", f"/v1/runs/{run}"))["run"]["state"] == "running"

    async def policies() -> list[dict]:
        return (await process.ask("GET", "/v1/tasks/sums/policies"))["data"]

    async def over() -> dict | None:
        (policy,) = await policies()
        return policy if policy["state"] != "fitting" else None

    await process.start()
    try:
        begun = await process.ask("POST", "/v1/tasks/sums/policies", {})
        assert (begun["state"], begun["durable"]) == ("fitting", True)
        (run,) = [one["id"] for one in (await process.ask("GET", "/v1/runs?name=certification"))["data"]]
        await until(running, 60)
        await process.kill()
        await process.start()
        policy = await until(over, 90)
        told = await process.ask("GET", f"/v1/runs/{run}")
    finally:
        await process.kill()
    assert (policy["id"], policy["number"], policy["attempt"]) == (begun["id"], 1, 1)
    assert policy["state"] in ("active", "refused"), policy["why"]
    assert told["run"]["executions"] >= 2
