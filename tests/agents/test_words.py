"""What the steps of an agent's run mean to whoever reads them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.agents import Agent, tool
from penstock.agents.model import Said, ToolCall
from penstock.agents.performing import Outcome
from penstock.agents.words import Words
from penstock.kernel.agents import AgentRequest
from penstock.kernel.journal import RunInfo, RunState, StepInfo


@tool(effect="irreversible")
async def refund(order: str) -> str:
    """Refund."""
    return order


@tool
async def look_up(order: str) -> str:
    """Look up."""
    return order


agent = Agent("desk", model="m", tools=[refund, look_up])
words = Words(lambda: {"desk": agent})
RUN = RunInfo(
    id="run_1",
    name="agent/desk",
    version=1,
    organisation="org",
    state=RunState.RUNNING,
    queue=None,
    priority=0,
    labels={},
    parent=None,
    forked_from=None,
    node=None,
    executions=1,
    created_at=0,
    started_at=0,
    updated_at=0,
    ended_at=None,
    trace_id="",
)


def step(number: int, name: str, output: Any = None, kind: str = "step") -> StepInfo:
    return StepInfo(number=number, kind=kind, name=name, attempts=1, started_at=0, ended_at=1, output=msgspec.to_builtins(output))


def asks(*calls: tuple[str, str]) -> Said:
    made = tuple(ToolCall(id=f"c{n}", name=name, arguments=arguments) for n, (name, arguments) in enumerate(calls))
    return Said(calls=made, cost=7, tokens=9, call="call_1", answered_by="up/m")


def test_each_call_is_told_with_its_own_arguments_and_effect() -> None:
    said = asks(("look_up", '{"order": "1"}'), ("look_up", '{"order": "2"}'), ("refund", "no json"))
    steps = [
        step(1, "begin", 1.0),
        step(2, "model", said),
        step(3, "tool look_up", Outcome(state="again", text="busy")),
        step(4, "tool look_up", Outcome(state="done", text='{"state": "shipped"}')),
        step(5, "tool look_up", Outcome(state="done", text="plain", cut=1200)),
        step(6, "tool refund", Outcome(state="in_doubt", text="who knows")),
    ]
    found = words.tell(RUN, steps)
    assert 1 not in found
    assert (found[2].family, found[2].note, found[2].cost, found[2].tokens, found[2].call) == ("model", "up/m", 7, 9, "call_1")
    assert found[2].gave["calls"][2] == {"tool": "refund", "arguments": "no json"}
    assert (found[3].state, found[3].fault, found[3].given) == ("again", "busy", {"order": "1"})
    assert (found[4].gave, found[4].given, found[4].effect) == ({"state": "shipped"}, {"order": "1"}, "read")
    assert (found[5].gave, found[5].given, found[5].note) == ("plain", {"order": "2"}, "1,200 bytes left out")
    assert (found[6].state, found[6].effect, found[6].fault, found[6].gave) == ("in_doubt", "irreversible", "who knows", None)


def test_answers_failures_people_and_children() -> None:
    request = AgentRequest(id="r", run="run_1", kind="approval", text="May I?", tool="refund", arguments={"order": "1"})
    steps = [
        step(1, "model", Said(error="insufficient_quota", message="no money")),
        step(2, "ask", request),
        step(3, "agent/other", kind="child"),
        step(4, "model", Said(text="All is well")),
    ]
    found = words.tell(RUN, steps)
    assert (found[1].state, found[1].fault) == ("failed", "insufficient_quota: no money")
    assert (found[2].family, found[2].name, found[2].given, found[2].gave) == ("people", "approval refund", {"order": "1"}, "May I?")
    assert (found[3].family, found[3].name) == ("child", "other")
    assert found[4].gave == "All is well"


def test_what_looks_otherwise_than_it_should_is_left_to_the_journal() -> None:
    steps = [step(1, "model", "text"), step(2, "ask", {"x": 1}), step(3, "tool gone", 5), step(4, "wait", None, "wait")]
    found = words.tell(RUN, steps)
    assert sorted(found) == [3]
    assert (found[3].name, found[3].given, found[3].effect) == ("gone", None, "")
    assert words.knows(RUN)
    assert not words.knows(msgspec.structs.replace(RUN, name="batch"))
    assert words.beside(RUN) == "/console/agents/runs/run_1/effects"
