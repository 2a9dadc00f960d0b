"""Trying agents and workflows out in a test, with nothing but what they are made of."""

from __future__ import annotations

import itertools
import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec import Struct

from penstock.agents import agent, ask_human, on_event, parallel, sleep, step, tool, workflow
from penstock.agents.here import NotHere
from penstock.agents.testing import NotRepeated, Trial, calls, says
from penstock.kernel.errors import StepFailed


class Order(Struct):
    number: str
    cents: int


@tool
async def find(number: str) -> Order:
    """Find an order."""
    return Order(number, 500)


@tool
def tax(cents: int) -> int:
    """What is added."""
    return cents // 5


@agent(model="up/m", tools=[find])
async def desk(question: str) -> str:
    """You answer customers.

    Be brief.
    """
    ...


@agent(model="up/m")
async def judge(order: Order, strict: bool = False) -> bool:
    """Whether it may be paid back."""
    ...


@workflow
async def refund(number: str) -> str:
    """Pay an order back."""
    order = await find(number)
    whole = order.cents + await step(tax, order.cents)
    if not await judge(order, strict=True):
        return "refused"
    if not await ask_human(f"Pay back {whole}?", bool, seconds=60, default=False):
        return "nobody agreed"
    await sleep(3600)
    paid = await on_event("paid", Order, where={"number": number})
    return f"{paid.number}: {whole}"


async def test_an_agent_is_called_as_it_is() -> None:
    async with Trial(desk=[calls(("find", {"number": "7"})), "It costs 5."]) as trial:
        assert await desk("How much is 7?") == "It costs 5."
    first, second = trial.asked
    assert [one["role"] for one in first.messages] == ["system", "user"]
    assert first.messages[0]["content"] == "You answer customers.\n\nBe brief."
    assert second.messages[-1]["content"] == '{"number":"7","cents":500}'
    assert desk.description == "You answer customers."


async def test_a_typed_agent_reads_its_input_as_json_and_answers_in_its_type() -> None:
    async with Trial(judge=["true"]) as trial:
        assert await judge(Order("7", 500)) is True
    assert trial.asked[0].messages[-1]["content"] == '{"order":{"number":"7","cents":500},"strict":false}'
    async with Trial(judge=["perhaps"]):
        with pytest.raises(StepFailed, match="not of the agent's type"):
            await judge(Order("7", 500))


async def test_a_workflow_is_called_as_it_is() -> None:
    async with Trial(judge=["true"], people=[True], events={"paid": [Order("8", 1), Order("7", 600)]}) as trial:
        assert await refund("7") == "7: 600"
    assert [one.text for one in trial.requests] == ["Pay back 600?"]
    assert trial.slept == [3600]
    kinds = [(kind, name) for kind, name, _ in trial.runs[0].steps]
    assert kinds == [
        *(("step", "begin"), ("step", "tool find"), ("step", "do tax") if False else ("step", "tool tax"), ("child", "agent/judge")),
        *(("result", "run_0-5"), ("step", "ask"), ("wait", "request/" + trial.requests[0].id.removeprefix("request/"))),
        *(("sleep", "sleep"), ("step", "listen paid")),
    ]


async def test_nobody_answers_in_time() -> None:
    async with Trial(judge=["true"]):
        assert await refund("7") == "nobody agreed"
    async with Trial(judge=["true"], people=[None]):
        assert await refund("7") == "nobody agreed"


async def test_what_differs_when_it_is_executed_again_is_found() -> None:
    chance = itertools.count()

    @workflow
    async def careless(number: str) -> str:
        if next(chance) % 2:
            await sleep(1)
        return (await find(number)).number

    async with Trial():
        with pytest.raises(NotRepeated, match="did sleep sleep as its number 2, and step tool find the first time"):
            await careless("7")
    async with Trial(repeat=False):
        assert await careless("7") == "7"


async def test_durable_calls_are_for_workflows() -> None:
    with pytest.raises(NotHere, match="is for workflows"):
        await sleep(1)
    with pytest.raises(NotHere, match="is for workflows"):
        await desk("?")
    assert await find("7") == Order("7", 500)
    assert tax(10) == 2

    @tool
    async def waits() -> str:
        """Wait."""
        await sleep(1)
        return "waited"

    @workflow
    async def calls_it() -> str:
        return await waits()

    async with Trial():
        with pytest.raises(StepFailed, match="make it a @workflow"):
            await calls_it()


async def test_what_nobody_awaited_is_named_instead_of_not_done() -> None:
    @workflow
    async def forgets_a_tool() -> str:
        find("7")
        return "done"

    @workflow
    async def forgets_an_agent() -> str:
        desk("?")
        return "done"

    @workflow
    async def forgets_to_wait() -> str:
        sleep(1)
        return "done"

    @workflow
    async def takes_no_answer_for_a_yes() -> str:
        if ask_human("Pay?", bool):
            return (await find("7")).number
        return "no"

    @workflow
    async def returns_it(number: str) -> str:
        return find(number)  # type: ignore[return-value]

    @workflow
    async def hands_it_on() -> str:
        return await desk(step(tax, 1))  # type: ignore[arg-type]

    @workflow
    async def makes_one_before_the_other() -> str:
        first, second = find("1"), find("2")
        return (await first).number + (await second).number

    said = {
        forgets_a_tool: r"find\(\) was called without `await`, so nothing of it was done: write `await find\(\.\.\.\)`",
        forgets_an_agent: r"desk\(\) was called without `await`",
        forgets_to_wait: r"sleep\(\) was called without `await`",
        takes_no_answer_for_a_yes: r"ask_human\(\) was called without `await`",
        hands_it_on: r"the input of desk cannot be kept as JSON: .*; was `await` left out\?",
    }
    async with Trial(desk=["fine"], people=[True]) as trial:
        for one, what in said.items():
            with pytest.raises(StepFailed, match=what):
                await one()
        with pytest.raises(StepFailed, match=r"find\(\) was called without `await`"):
            await returns_it("7")
        assert trial.asked == []
        assert await makes_one_before_the_other() == "12"


async def test_what_is_no_json_is_named_where_it_is_given() -> None:
    class Odd:
        """Nothing that JSON knows."""

    @workflow
    async def returns_odd() -> Any:
        return Odd()

    @workflow
    async def gives_odd() -> str:
        return (await find(Odd())).number  # type: ignore[arg-type]

    def makes_odd() -> Any:
        return Odd()

    @workflow
    async def keeps_odd() -> Any:
        return await step(makes_odd)

    said = {
        returns_odd: "what the workflow returns_odd returns cannot be kept as JSON",
        gives_odd: "what find is called with cannot be kept as JSON",
        keeps_odd: r"what makes_odd\(\) returns cannot be kept as JSON",
    }
    async with Trial():
        for one, what in said.items():
            with pytest.raises(StepFailed, match=what):
                await one()


async def test_several_at_once_keep_their_order_and_lose_nobody() -> None:
    async def broken(n: int) -> int:
        raise ValueError(f"no {n}")

    @workflow
    async def all_of(numbers: list[str]) -> list[str]:
        found = await parallel(*(partial(find, n) for n in numbers), partial(broken, 3), partial(desk, "?"), at_once=2)
        return [one.number if isinstance(one, Order) else str(one) for one in found]

    async with Trial(desk=[says("hello")]):
        assert await all_of(["1", "2", "3"]) == ["1", "2", "3", "no 3", "hello"]


async def test_the_examples_of_the_documentation_run(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text("utf-8")
    blocks: dict[str, str] = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL))
    package, reports = ModuleType("acme"), ModuleType("acme.reports")
    monkeypatch.setitem(sys.modules, "acme", package)
    monkeypatch.setitem(sys.modules, "acme.reports", reports)
    exec(compile(blocks["acme/reports.py"], "acme/reports.py", "exec"), reports.__dict__)
    found: dict[str, Any] = {}
    exec(compile(blocks["tests/test_reports.py"], "tests/test_reports.py", "exec"), found)
    await found["test_report"]()
    agents = ModuleType("acme.agents")
    monkeypatch.setitem(sys.modules, "acme.agents", agents)
    exec(compile(blocks["acme/agents.py"], "acme/agents.py", "exec"), agents.__dict__)
    assert agents.desk.tools["refund"].honours_key
