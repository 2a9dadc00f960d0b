"""Agents of Pydantic AI, the OpenAI Agents SDK and LangGraph, brought in as they are: tried with their own libraries, executed again from
what was journalled, and from its middle on the real journal.

They want the environment of ``make test-compatibility``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.agents.scripted import Scripted, Stand, calls, says

from penstock.agents import Limits
from penstock.agents.adopted import URL, Adopted, http_client
from penstock.agents.model import Said
from penstock.agents.running import Ended, Start
from penstock.agents.testing import Trial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]

SHOP = {"7": "lost"}
made: list[str] = []
"""What the tools did to the world."""


def look_up(order: str) -> str:
    """Look an order up."""
    made.append(f"look_up {order}")
    return SHOP[order]


async def refund(order: str, cents: int) -> dict[str, Any]:
    """Give money back."""
    made.append(f"refund {order} {cents}")
    return {"order": order, "cents": cents}


EFFECTS: Any = {"look_up": "read", "refund": "irreversible"}


def of_pydantic_ai(**terms: Any) -> Adopted:
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="make test-compatibility installs it")
    from penstock.agents.adopted.pydantic_ai import adopt

    desk = pydantic_ai.Agent(name="desk", instructions="You answer customers.", tools=[look_up, refund])
    return adopt(desk, model="task:support", effects=EFFECTS, **terms)


def of_openai_agents(**terms: Any) -> Adopted:
    agents = pytest.importorskip("agents", reason="make test-compatibility installs it")
    from penstock.agents.adopted.openai_agents import adopt

    desk = agents.Agent(
        name="desk", instructions="You answer customers.", tools=[agents.function_tool(look_up), agents.function_tool(refund)]
    )
    return adopt(desk, model="task:support", effects=EFFECTS, **terms)


def of_langgraph(**terms: Any) -> Adopted:
    pytest.importorskip("langgraph", reason="make test-compatibility installs it")
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    from penstock.agents.adopted.langgraph import adopt

    tools = [tool(look_up), tool(refund)]
    model = ChatOpenAI(model="task:support", http_async_client=http_client(), base_url=URL, api_key="-", max_retries=0).bind_tools(tools)

    async def think(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return adopt(graph.compile(), name="desk", model="task:support", effects=EFFECTS, **terms)


ALL = [of_pydantic_ai, of_openai_agents, of_langgraph]
frameworks = pytest.mark.parametrize("adopted", ALL, ids=lambda one: one.__name__)


def turn(n: int, *wanted: tuple[str, Any]) -> Said:
    """A turn whose calls have ids of their own, as those of every server."""
    said = calls(*wanted)
    return msgspec.structs.replace(said, calls=tuple(msgspec.structs.replace(one, id=f"{one.id}_{n}") for one in said.calls))


TURNS = [
    turn(1, ("look_up", {"order": "7"})),
    turn(2, ("refund", {"order": "7", "cents": 100}), ("look_up", {"order": "7"})),
    says("It was lost; you have your money back."),
]


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    opened = Stand(Path(tmp_path_factory.mktemp("adopted")))
    await opened.open()
    yield opened
    await opened.close()


@frameworks
async def test_it_is_executed_again_from_what_was_journalled(adopted: Callable[..., Adopted]) -> None:
    desk = adopted()
    assert desk.tools == EFFECTS
    async with Trial(desk=TURNS) as trial:
        assert await desk("Where is 7?") == "It was lost; you have your money back."
    assert sorted(made) == ["look_up 7", "look_up 7", "refund 7 100"], "executed twice, done once"
    assert len(trial.asked) == 3
    question = trial.asked[-1]
    assert question.model == "task:support"
    assert [tool["function"]["name"] for tool in question.tools] == ["look_up", "refund"]
    assert [message["role"] for message in question.messages if message["role"] == "tool"] == ["tool"] * 3


@frameworks
async def test_limits_end_it_whatever_the_framework_makes_of_them(adopted: Callable[..., Adopted]) -> None:
    desk = adopted(limits=Limits(turns=3))
    async with Trial(desk=[turn(n, ("look_up", {"order": "7"})) for n in range(9)]) as trial:
        ended = await trial.start(desk, "Where is 7?")
    assert (ended.state, ended.code, ended.spent.turns) == ("limit", "limit_turns", 3)


@frameworks
async def test_a_model_that_cannot_be_asked_ends_it_with_the_lines_code(adopted: Callable[..., Adopted]) -> None:
    desk = adopted()
    async with Trial(desk=[Said(error="insufficient_quota", message="the budget is spent")]) as trial:
        ended = await trial.start(desk, "Where is 7?")
    assert (ended.state, ended.code) == ("failed", "insufficient_quota")


@frameworks
async def test_what_a_tool_raises_is_told_to_the_model(adopted: Callable[..., Adopted]) -> None:
    desk = adopted()
    async with Trial(desk=[calls(("look_up", {"order": "8"})), says("There is none.")]) as trial:
        assert await desk("Where is 8?") == "There is none."
    told = [str(message["content"]) for message in trial.asked[-1].messages if message["role"] == "tool"]
    assert len(told) == 1
    assert "8" in told[0] or adopted is of_openai_agents, "the SDK of OpenAI tells its models only that something went wrong"


@pytest.mark.asyncio(loop_scope="module")
@frameworks
async def test_on_the_journal_it_goes_on_from_any_step_and_does_nothing_twice(adopted: Callable[..., Adopted], stand: Stand) -> None:
    desk = adopted()
    desk.name = f"desk_{adopted.__name__}"
    stand.model = Scripted(**{desk.name: TURNS})
    stand.journal.define(desk.run, stand.agents.function(desk))
    run = await stand.journal.start(desk.run, msgspec.to_builtins(Start(input="Where is 7?", key="key")), organisation="org")
    first = msgspec.convert(await stand.journal.result(None, run, 60.0), Ended)
    assert (first.state, first.output) == ("done", "It was lost; you have your money back.")
    steps = await stand.journal.history(None, run)
    assert [step.name for step in steps][:4] == ["begin", "model", "tool look_up", "model"]
    assert sorted(made) == ["look_up 7", "look_up 7", "refund 7 100"]
    for step in steps[1:]:
        made.clear()
        forked = await stand.journal.fork(None, run, step.number)
        again = msgspec.convert(await stand.journal.result(None, forked, 60.0), Ended)
        assert (again.state, again.output) == (first.state, first.output)
        left = [other.name.removeprefix("tool ") for other in steps if other.number >= step.number and other.name.startswith("tool ")]
        assert sorted(line.split()[0] for line in made) == sorted(left)


async def test_a_handoff_of_the_agents_sdk_stays_durable() -> None:
    agents = pytest.importorskip("agents", reason="make test-compatibility installs it")
    from penstock.agents.adopted.openai_agents import adopt

    money = agents.Agent(name="money", tools=[agents.function_tool(refund)])
    desk = agents.Agent(name="desk", handoffs=[money])
    money.handoffs.append(desk)
    one = adopt(desk, model="task:support", effects=EFFECTS)
    script = [turn(1, ("transfer_to_money", {})), turn(2, ("refund", {"order": "7", "cents": 5})), says("Done.")]
    async with Trial(desk=script):
        assert await one("Give it back") == "Done."
    assert made == ["refund 7 5"]


async def test_mcp_servers_of_the_agents_sdk_are_refused() -> None:
    agents = pytest.importorskip("agents", reason="make test-compatibility installs it")
    from agents.mcp import MCPServerStdio

    from penstock.agents.adopted.openai_agents import adopt

    other = agents.Agent(name="other", mcp_servers=[MCPServerStdio(params={"command": "true"})])
    with pytest.raises(ValueError, match="the agent other has MCP servers"):
        adopt(agents.Agent(name="desk", handoffs=[other]), model="task:support")


async def test_tools_of_a_graph_that_is_a_node_are_steps_too() -> None:
    pytest.importorskip("langgraph", reason="make test-compatibility installs it")
    from langchain_core.messages import AIMessage
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode

    from penstock.agents.adopted.langgraph import adopt

    async def decide(state: MessagesState) -> Any:
        wanted: Any = {"name": "refund", "args": {"order": "7", "cents": 100}, "id": "c1", "type": "tool_call"}
        return {"messages": [AIMessage("", tool_calls=[wanted])]}

    inner = StateGraph(MessagesState)
    inner.add_node("decide", decide)
    inner.add_node("tools", ToolNode([tool(refund)]))
    inner.add_edge(START, "decide")
    inner.add_edge("decide", "tools")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    desk = adopt(outer.compile(), name="desk", effects=EFFECTS)
    assert desk.tools == {"refund": "irreversible"}
    async with Trial(desk=["?"]) as trial:
        await desk("Give it back.")
    assert [name for _, name, _ in trial.runs[0].steps] == ["begin", "tool refund"]
    assert made == ["refund 7 100"]


async def test_typed_outputs_come_back_as_json() -> None:
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="make test-compatibility installs it")
    from pydantic import BaseModel

    from penstock.agents.adopted.pydantic_ai import adopt

    class Order(BaseModel):
        number: int
        state: str

    desk = pydantic_ai.Agent(name="desk", output_type=Order)
    async with Trial(desk=[calls(("final_result", {"number": 7, "state": "lost"}))]):
        assert await adopt(desk, model="m")("Where is 7?") == {"number": 7, "state": "lost"}
