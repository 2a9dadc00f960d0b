"""The boundary of adopted agents, with a framework of a few lines; the real ones are in `tests/compatibility/test_adopted.py`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.agents import Limits, workflow
from penstock.agents.adopted.boundary import BOUNDARY, Adopted, Boundary, NotAnswered, durable, value_of
from penstock.agents.model import Said
from penstock.agents.performing import Outcome
from penstock.agents.testing import Trial, says
from penstock.kernel.errors import StepFailed


def boundary() -> Boundary:
    found = BOUNDARY.get()
    assert found is not None
    return found


def body(*said: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": one} for one in said], "temperature": 0.5}


async def ask(*said: str) -> str:
    return (await boundary().ask(body(*said))).text


def adopted(go: Any, **terms: Any) -> Adopted:
    return Adopted("desk", go, model="m", tools={}, **terms)


async def test_questions_and_calls_are_steps_and_nothing_is_done_twice() -> None:
    done: list[str] = []

    async def go(input: Any) -> Any:
        first = await ask(input)

        async def act() -> Any:
            done.append(first)
            return {"did": first}

        outcome = await boundary().call(durable("act", "irreversible", act), {"what": first}, "c1")
        return value_of(outcome)["did"]

    one = adopted(go)
    async with Trial(desk=["yes"]) as trial:
        assert await one("well?") == "yes"
    assert done == ["yes"]
    (question,) = trial.asked
    assert (question.model, dict(question.params), question.labels["agent"]) == ("m", {"temperature": 0.5}, "desk")
    assert [(kind, name) for kind, name, _ in trial.runs[0].steps] == [("step", "begin"), ("step", "model"), ("step", "tool act")]


async def test_side_by_side_is_one_after_the_other_in_order_of_arrival() -> None:
    async def go(input: Any) -> Any:
        return " ".join(await asyncio.gather(*(ask(input, str(n)) for n in range(4))))

    one = adopted(go)
    async with Trial(desk=[lambda question: str(question.messages[-1]["content"])]):
        assert await one("n") == "0 1 2 3"


async def test_what_goes_another_way_the_second_time_is_told_so() -> None:
    turn = iter(("one", "another"))

    async def go(input: Any) -> Any:
        return await ask(next(turn))

    one = adopted(go)
    with pytest.raises(AssertionError, match="agent_diverged"):
        async with Trial(desk=["yes"]):
            await one("well?")


async def test_the_time_of_day_in_instructions_is_no_other_way() -> None:
    turn = iter(("Monday", "Tuesday"))

    async def go(input: Any) -> Any:
        return (await boundary().ask({"model": "m", "messages": [{"role": "system", "content": next(turn)}, {"role": "user"}]})).text

    async with Trial(desk=["yes"]):
        assert await adopted(go)("well?") == "yes"


async def test_a_framework_that_catches_everything_cannot_go_past_a_limit() -> None:
    async def go(input: Any) -> Any:
        for n in range(20):
            try:
                await ask(str(n))
            except Exception:
                continue
        return "never mind"

    async with Trial(desk=[says("on", cost=40)]) as trial:
        by_turns = await trial.start(adopted(go, limits=Limits(turns=2)), "go")
        by_money = await trial.start(adopted(go, limits=Limits(usd=0.0001)), "go")
    assert (by_turns.state, by_turns.code, by_turns.spent.turns) == ("limit", "limit_turns", 2)
    assert (by_money.state, by_money.code) == ("limit", "limit_usd")
    assert by_money.spent.cost == 80


async def test_a_busy_model_is_waited_for_and_one_that_refuses_ends_the_run() -> None:
    answers = [Said(error="rate_limited", message="busy", again=3.0), says("yes")]

    async def go(input: Any) -> Any:
        return await ask(input)

    async with Trial(desk=[lambda _: answers.pop(0)]) as trial:
        assert await adopted(go)("well?") == "yes"
    assert trial.slept == [3.0]
    async with Trial(desk=[Said(error="model_not_found", message="there is none")]) as trial:
        ended = await trial.start(adopted(go), "well?")
    assert (ended.state, ended.code, ended.message) == ("failed", "model_not_found", "there is none")


async def test_what_the_framework_raises_is_how_its_run_ended() -> None:
    async def go(input: Any) -> Any:
        raise LookupError("no such thing")

    async with Trial() as trial:
        ended = await trial.start(adopted(go), "well?")
    assert (ended.state, ended.code) == ("failed", "agent_failed")
    assert "no such thing" in ended.message


async def test_a_tool_that_asks_a_model_is_one_step_with_it() -> None:
    async def go(input: Any) -> Any:
        async def think() -> Any:
            return await ask("inside")

        return value_of(await boundary().call(durable("think", "read", think), {}, "c1"))

    async with Trial(desk=["deep"]) as trial:
        assert await adopted(go)("well?") == "deep"
    assert [name for _, name, _ in trial.runs[0].steps] == ["begin", "tool think"]
    async with Trial(desk=[Said(error="insufficient_quota", message="spent")]) as trial:
        ended = await trial.start(adopted(_tells), "well?")
    assert ended.output == "This failed: NotAnswered: spent"


async def _tells(input: Any) -> Any:
    async def think() -> Any:
        return await ask("inside")

    return (await boundary().call(durable("think", "read", think), {}, "c1")).words()


async def test_inside_a_tool_nothing_is_changed_that_nobody_was_asked_for() -> None:
    done: list[str] = []

    async def go(input: Any) -> Any:
        async def read() -> Any:
            done.append("read")
            return "seen"

        async def pay() -> Any:
            done.append("pay")

        async def outer() -> Any:
            seen = await boundary().call(durable("read", "read", read), {}, "c2")
            paid = await boundary().call(durable("pay", "irreversible", pay), {}, "c3")
            return [seen.text, paid.code]

        return value_of(await boundary().call(durable("outer", "read", outer), {}, "c1"))

    async with Trial(desk=["yes"]):
        assert await adopted(go, output=Any)("well?") == ["seen", "not_durable_here"]
    assert set(done) == {"read"}


async def test_a_workflow_hands_work_to_it() -> None:
    async def go(input: Any) -> Any:
        return await ask(input)

    one = adopted(go)

    @workflow
    async def day(question: str) -> str:
        return await one(question)

    async with Trial(desk=["yes"]):
        assert await day("well?") == "yes"
    async with Trial(desk=[Said(error="x", message="no")]):
        with pytest.raises(StepFailed, match="no"):
            await day("well?")


def test_what_is_told_of_an_outcome_without_a_result() -> None:
    assert Outcome(state="in_doubt", text="it is lost").words().startswith("Nobody knows")
    assert Outcome(state="failed", text="no").words() == "This failed: no"
    assert NotAnswered("no", code="insufficient_quota").code == "insufficient_quota"
