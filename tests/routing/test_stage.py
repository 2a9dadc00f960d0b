"""Calls for a task, through a whole house: which model answers, why, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.routing.rig import LARGE, SMALL, Rig, costs, outcomes, recorded, rig

from penstock.kernel.tasks import Floor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as made:
        yield made


async def test_without_evidence_the_default_serves_and_says_so(place: Rig) -> None:
    place.task()
    answer = await place.call("hello")
    assert answer.status == 200, answer.text
    assert place.served[-1] == "large"
    why = await place.why(answer)
    assert (why["mode"], why["chosen"], why["policy"]) == ("default", LARGE, None)
    assert "nothing is certified" in why["why"]
    by_name = {one["candidate"]: one for one in why["candidates"]}
    assert by_name[LARGE]["would_have_cost"] == why["cost"] == costs()[LARGE]
    assert by_name[SMALL]["would_have_cost"] == costs()[SMALL]


async def test_a_certified_candidate_serves(place: Rig) -> None:
    place.task("easy", floor=Floor(level=0.6))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("easy")
    assert policy["state"] == "active", policy
    assert SMALL in policy["singles"]
    answer = await place.call(recorded()[0].prompt, "easy")
    why = await place.why(answer)
    assert (place.served[-1], why["mode"], why["chosen"], why["policy"]) == ("small", "proof", SMALL, policy["id"])
    assert why["cost"] == costs()[SMALL]
