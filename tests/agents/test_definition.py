"""What an agent is told, what it shows of its tools, and which agents stand in a module."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from msgspec import Struct
from tests.agents import sample

from penstock.agents import Agent, tool, workflow
from penstock.agents.definition import BadOutput, startables_in


class Verdict(Struct):
    """An answer with a shape."""

    score: int


@tool
async def look() -> str:
    """Look."""
    return ""


def test_an_answer_is_what_its_type_says() -> None:
    one = Agent("judge", model="m", output=list[Verdict])
    for text in ('[{"score": 1}]', ' ```json\n[{"score": 1}]\n``` ', '```\n[{"score": 1}]\n```'):
        assert one.answer(text) == [{"score": 1}]
    for text in ("fine", '[{"score": "1"}]', '```json\n[{"score": 1}]\n``` and more', "[" * 100_000):
        with pytest.raises(BadOutput):
            one.answer(text)
    assert Agent("writer", model="m").answer("fine") == "fine"


def test_the_shape_of_the_answer_stands_below_the_instructions() -> None:
    told = Agent("judge", model="m", instructions="Judge.", output=Verdict).told()
    assert told.startswith("Judge.\n\n")
    assert '"required":["score"]' in told
    assert Agent("judge", model="m").told() == ""


def test_tools_are_shown_in_one_order_whatever_the_order_of_their_declaration() -> None:
    helper = Agent("helper", model="m", description="Helps.")
    orders = [Agent("one", model="m", tools=tools).shown() for tools in ([look, helper], [helper, look])]
    assert orders[0] == orders[1]
    assert [shown["function"]["name"] for shown in orders[0]] == ["look", "ask_helper"]
    assert orders[0][1]["function"]["description"] == "Helps."


def test_names_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no name for agents"):
        Agent("the desk", model="m")
    with pytest.raises(ValueError, match="two tools of the agent one"):
        Agent("one", model="m", tools=[look, look])


def test_agents_of_a_module_are_found_with_those_they_ask() -> None:
    assert [one.name for one in startables_in(sample)] == ["desk", "greet", "secretary"]
    module = ModuleType("acme")
    hidden = Agent("hidden", model="m")
    module.first = Agent("first", model="m", tools=[hidden])  # type: ignore[attr-defined]
    assert [one.name for one in startables_in(module)] == ["first", "hidden"]
    module.second = Agent("hidden", model="m")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="two agents are named hidden"):
        startables_in(module)


class Odd:
    """Nothing that JSON knows."""


def plain(number: str) -> str:
    """No tool."""
    return number


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"tools": [plain]}, "the agent desk: plain is no tool; write @tool above it"),
        ({"tools": [[look]]}, r"the agent desk: a list stands among its tools; unpack it with a star"),
        ({"tools": [look, look]}, "two tools of the agent desk are named look; give one of them another name"),
        ({"output": Odd}, "the answer of the agent desk is of a type that JSON cannot be read as: Odd; take str"),
    ],
)
def test_what_cannot_be_declared_says_what_to_write_instead(terms: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        Agent("desk", model="m", **terms)


def test_a_workflow_is_an_async_function() -> None:
    with pytest.raises(TypeError, match=r"the workflow plain must be an async function: write `async def plain`"):
        workflow(plain)  # type: ignore[call-overload]
