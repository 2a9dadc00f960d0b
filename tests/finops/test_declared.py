"""A task's budget is enforced before the money is spent, and changed where the task is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.tasks.people import Rig, rig

from penstock.finops.declared import budgets_of, is_declared
from penstock.finops.running import compare
from penstock.kernel.tasks import Spending, Task
from penstock.tasks.memory import Known

SETTINGS = """
[finops.prices."up/*"]
input = 1000.0
output = 1000.0

[tasks.dear]
owner = "a"
candidates = ["up/a"]
budget = { amount = 0.000001, period = "day" }

[tasks.cheap]
owner = "a"
candidates = ["up/a"]
budget = { amount = 1000.0 }
"""


def task(name: str, **more: object) -> Task:
    return Task(organisation="org", name=name, owner="a", default="up/a", candidates=("up/a",), **more)  # type: ignore[arg-type]


def test_a_budget_for_each_task_that_has_one() -> None:
    known = Known()
    spending = Spending(amount=5_000_000, period="week")
    known.apply({"all": task("all", shared=True, budget=spending)}, [task("none"), task("own", budget=spending)])
    found = {budget.id: budget for budget in budgets_of(known)}
    assert sorted(found) == ["task::all", "task:org:own"]
    assert (found["task::all"].organisation, found["task:org:own"].organisation) == ("", "org")
    assert (found["task:org:own"].limit, found["task:org:own"].period, found["task:org:own"].hard) == (5_000_000, "week", True)
    assert is_declared("task::all")
    assert not is_declared("budget_1")
    assert budgets_of(None) == []


async def listed(house: Rig) -> set[str]:
    return {view["budget"]["id"] for view in (await house.house.ask("GET", "/v1/budgets")).json["data"]}


async def until(house: Rig, wanted: set[str]) -> None:
    async with asyncio.timeout(10):
        while await listed(house) != wanted:
            await asyncio.sleep(0.01)


@pytest.mark.timeout(60)
async def test_it_is_enforced_and_follows_its_task(tmp_path: Path) -> None:
    async with rig(tmp_path, SETTINGS) as house:
        await until(house, {"task::dear", "task::cheap"})
        refused = await house.call("task:dear")
        assert (refused.status, refused.json["error"]["code"]) == (429, "insufficient_quota")
        assert "0.000001 USD" in refused.json["error"]["message"]
        assert house.served == []
        assert (await house.call("task:cheap")).status == 200
        assert (await house.call("up/a", task="dear")).status == 429, "whichever model is named"
        made = (await house.declare("mine", budget={"amount": 0.000001})).json
        mine = f"task:{made['organisation']}:mine"
        await until(house, {"task::dear", "task::cheap", mine})
        assert (await house.call("task:mine")).status == 429
        change = await house.house.ask("PUT", f"/v1/budgets/{mine}", {"name": "x", "limit": 5})
        assert (change.status, change.json["error"]["code"]) == (409, "budget_of_task")
        assert (await house.house.ask("DELETE", f"/v1/budgets/{mine}")).status == 409
        page = await house.house.ask("GET", f"/console/budgets/{mine}", accept="text/html")
        assert "Delete budget" not in page.text

        def ask(path: str) -> bytes:
            return asyncio.run_coroutine_threadsafe(house.house.ask("GET", path), loop).result(20).text.encode()

        loop = asyncio.get_running_loop()
        assert (await asyncio.to_thread(compare, house.house.app.store, ask, 5.0)).faults == []
        assert (await house.house.ask("DELETE", f"/v1/tasks/mine?digest={made['digest']}")).status == 204
        await until(house, {"task::dear", "task::cheap"})
