"""A cascade on the line, through a whole house: what is accepted, what is escalated, and that both models are paid exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import Answer
from tests.routing.rig import LARGE, SMALL, Rig, costs, outcomes, recorded, rig

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
BOTH = [("small", costs()[SMALL]), ("large", costs()[LARGE])]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house"), "audit = 1.0\n") as made:
        made.task(mode="cascade")
        made.declared.known = outcomes(recorded())
        policy = await made.certify()
        assert (policy["state"], policy["kind"]) == ("active", "cascade"), policy["why"]
        yield made


@pytest.fixture(autouse=True)
def well(place: Rig) -> None:
    place.fails = lambda model: None
    place.task(mode="cascade")


async def found(place: Rig, *, escalated: bool, stream: bool = False) -> tuple[Answer, int]:
    """A call of the record that is escalated, or is not, and its row."""
    for number, row in enumerate(recorded()[:80]):
        answer = await place.call(row.prompt, stream=stream)
        assert answer.status == 200, answer.text
        if (await place.why(answer))["escalated"] is escalated:
            return answer, number
    raise AssertionError("no such call among the first")


async def test_an_answer_that_passes_the_check_is_given_and_paid_once(place: Rig) -> None:
    answer, number = await found(place, escalated=False)
    assert answer.json["choices"][0]["message"]["content"] == recorded()[number].small
    why = await place.why(answer)
    assert (why["mode"], why["served"], why["cost"], why["audited"]) == ("cascade", SMALL, costs()[SMALL], True)
    assert why["gain"] <= why["threshold"]
    assert await place.ledger(answer) == BOTH[:1]
    sample = next(one for one in place.declared.samples if one.item == answer.headers["x-request-id"])
    assert (sample.candidate, sample.source, sample.propensity, sample.cost) == (SMALL, "live", 1.0, costs()[SMALL])


async def test_one_that_does_not_is_escalated_and_both_are_paid(place: Rig) -> None:
    answer, number = await found(place, escalated=True)
    assert answer.json["choices"][0]["message"]["content"] == recorded()[number].large
    why = await place.why(answer)
    assert (why["served"], why["cost"]) == (LARGE, sum(costs().values()))
    assert why["gain"] > why["threshold"]
    assert await place.ledger(answer) == BOTH
    assert answer.headers["x-penstock-cost-micros"] == str(sum(costs().values()))
    # What the answer itself used is told apart from what both used, so that the comparison with others is fair.
    assert {one["candidate"]: one["would_have_cost"] for one in why["candidates"]} == costs()
    call = (await place.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")).json
    assert [one["model"] for one in call["attempts"]] == ["small", "large"]


async def test_streams_are_held_back_until_they_are_accepted(place: Rig) -> None:
    answer, number = await found(place, escalated=False, stream=True)
    assert answer.text.count("data: ") > 2
    assert await place.ledger(answer) == BOTH[:1]
    answer, number = await found(place, escalated=True, stream=True)
    assert recorded()[number].small[:15] not in answer.text
    assert await place.ledger(answer) == BOTH
    assert f": x-penstock-cost-micros={sum(costs().values())}" in answer.text


async def test_a_small_model_that_fails_leaves_the_call_to_the_next(place: Rig) -> None:
    place.fails = lambda model: "500 Oops" if model == "small" else None
    answer = await place.call(recorded()[0].prompt)
    assert answer.json["choices"][0]["message"]["content"] == recorded()[0].large
    why = await place.why(answer)
    assert (why["escalated"], why["served"]) == (True, LARGE)
    assert "did not answer" in why["why"]
    assert await place.ledger(answer) == BOTH[1:]


async def test_a_next_model_that_fails_fails_the_call_and_what_was_spent_is_on_the_ledger(place: Rig) -> None:
    _, number = await found(place, escalated=True)
    place.fails = lambda model: "500 Oops" if model == "large" else None
    refused = await place.call(recorded()[number].prompt)
    assert refused.status == 502
    rows = await place.ledger(refused)
    assert rows[0] == BOTH[0]
    assert (await place.why(refused))["cost"] == costs()[SMALL]


async def test_a_small_stream_that_breaks_is_escalated(place: Rig) -> None:
    place.fails = lambda model: "cut" if model == "small" else None
    answer = await place.call(recorded()[0].prompt, stream=True)
    assert answer.status == 200
    assert "One " not in answer.text
    why = await place.why(answer)
    assert (why["escalated"], why["served"]) == (True, LARGE)


async def test_money_for_both_is_set_aside_before_the_first(place: Rig) -> None:
    key, id = await place.house.key(name="poor", scopes=["call"])
    small = costs()[SMALL]
    limit = small * 20  # enough for many of the small model's calls, and for no call of the large one
    await place.house.made("/v1/budgets", {"name": "tight", "subject_kind": "key", "subject": id, "period": "day", "limit": limit})
    before = len(place.served)
    body = {"model": "task:sums", "messages": [{"role": "user", "content": recorded()[0].prompt}], "max_tokens": 400}
    answer = await place.house.ask("POST", "/v1/chat/completions", body, key=key)
    assert answer.status == 429, answer.text
    assert len(place.served) == before


async def test_a_task_whose_mode_is_route_does_not_cascade(place: Rig) -> None:
    place.task(mode="route")
    why = await place.why(await place.call(recorded()[0].prompt))
    assert (why["mode"], why["chosen"]) == ("proof", LARGE)
    assert "is a cascade, and the task's mode is route" in why["why"]
