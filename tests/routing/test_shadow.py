"""Exploration in the shadow of answers: never shown, within its budget, submitted with its propensity."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.routing.rig import LARGE, SMALL, Rig, costs, recorded, rig

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as made:
        yield made


def shadows(place: Rig) -> Any:
    (life,) = place.house.app.offers["routing"].services
    return life._shadows  # type: ignore[attr-defined]


async def settled(place: Rig) -> None:
    await shadows(place).settle()


async def test_an_explored_call_is_put_to_another_and_both_answers_are_judged(place: Rig) -> None:
    place.task("curious", explore=1.0, explore_budget=1_000_000)
    row = recorded()[0]
    for stream in (False, True):
        place.served.clear()
        place.declared.samples.clear()
        answer = await place.call(row.prompt, "curious", stream=stream)
        assert row.small[:20] not in answer.text
        await settled(place)
        assert place.served == ["large", "small"]
        why = await place.why(answer)
        assert (why["served"], why["explored"], why["cost"]) == (LARGE, SMALL, costs()[LARGE])
        live, shadow = place.declared.samples
        assert (live.source, live.candidate, shadow.source, shadow.candidate) == ("live", LARGE, "shadow", SMALL)
        assert (live.answered_by, shadow.answered_by) == (LARGE, SMALL)
        assert live.item == live.call == shadow.item == answer.headers["x-request-id"] != shadow.call
        assert live.propensity == shadow.propensity == 1.0
        assert row.large.encode()[-20:] in live.reply
        assert b"data:" not in live.reply
        assert shadow.cost == costs()[SMALL]
        told = (await place.house.ask("GET", f"/v1/calls/{shadow.call}")).json
        assert told["labels"]["shadow_of"] == answer.headers["x-request-id"]
        assert (told["task"], told["model"]) == ("curious", SMALL)


async def test_the_month_s_budget_holds_and_is_counted_durably(place: Rig) -> None:
    # A shadow without a cap sets 4,096 tokens of output aside, about 900 micro-dollars at the cheap model.
    place.task("thrifty", explore=1.0, explore_budget=900)
    before = dict(shadows(place).counts)
    for _ in range(4):
        await place.call("hello", "thrifty")
        await settled(place)
    counts = shadows(place).counts
    explored = counts["explored"] - before.get("explored", 0)
    assert 1 <= explored < 4
    assert counts["over_budget"] - before.get("over_budget", 0) == 4 - explored
    from sqlalchemy import text

    with place.house.app.store.snapshot() as connection:
        spent, calls = connection.execute(text("SELECT spent, calls FROM routing_explored WHERE task = 'thrifty'")).one()
    assert (spent, calls) == (explored * costs()[SMALL], explored)


async def test_a_shadow_that_fails_is_counted_and_nobody_notices(place: Rig) -> None:
    place.task("brittle", explore=1.0, explore_budget=1_000_000)
    place.fails = lambda model: "400 No" if model == "small" else None
    place.declared.samples.clear()
    before = shadows(place).counts["refused"]
    answer = await place.call("hello", "brittle")
    await settled(place)
    place.fails = lambda model: None
    assert answer.status == 200
    assert shadows(place).counts["refused"] == before + 1
    assert place.declared.samples == []


async def test_no_budget_no_exploration(place: Rig) -> None:
    place.task("poor", explore=1.0)
    place.served.clear()
    await place.call("hello", "poor")
    await settled(place)
    assert place.served == ["large"]
