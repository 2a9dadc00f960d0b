"""What is told of a run: each step once, with the call that it belongs to."""

from __future__ import annotations

import msgspec
import pytest
from tests.agents.scripted import Scripted, Stand, calls, says

from penstock.agents import Agent, tool
from penstock.agents.events import Telling, ended
from penstock.kernel.agents import ASK, AgentEvent
from penstock.kernel.journal import RunInfo, StepInfo

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def told(stand: Stand, run: str) -> list[AgentEvent]:
    telling = Telling()
    return [event for step in await stand.journal.history(None, run) if (event := telling.tell(step)) is not None]


async def test_results_name_the_calls_that_they_are_of(stand: Stand) -> None:
    helper = Agent("e-helper", model="up/m")
    one = Agent("e-one", model="up/m", tools=[add, helper])
    turn = calls(("add", {"a": 1, "b": 2}), ("ask_e-helper", {"question": "?"}), ("add", {"a": "x"}), ("add", {"a": 3, "b": 4}))
    stand.model = Scripted(**{"e-one": [turn, says("ten")], "e-helper": [says("yes")]})
    stand.define(one)
    run = await stand.start(one)
    assert (await stand.result(run)).state == "done"
    events = await told(stand, run)
    assert [(one.kind, one.name, one.call, one.text) for one in events if one.kind != "said"] == [
        ("began", "", "", ""),
        ("handed", "e-helper", "c1", ""),
        ("result", "add", "c0", "3"),
        ("result", "add", "c3", "7"),
        ("returned", "", "c1", ""),
    ]
    said = [one for one in events if one.kind == "said"]
    assert ([call.name for call in said[0].calls], said[0].cost, said[1].text) == (["add", "ask_e-helper", "add", "add"], 10, "ten")
    handed, returned = (next(one for one in events if one.kind == kind) for kind in ("handed", "returned"))
    assert (returned.child, returned.state, returned.output, returned.cost) == (handed.child, "done", "yes", 10)
    assert [one.number for one in events] == sorted({one.number for one in events})
    info = await stand.journal.get(None, run)
    last = ended(info, events[-1].number + 1, await stand.journal.result(None, run))
    assert (last.kind, last.state, last.output, last.cost, last.tokens) == ("ended", "done", "ten", 30, 15)


def step(number: int, name: str, output: object = None, *, kind: str = "step", error: str | None = None) -> StepInfo:
    return StepInfo(number=number, kind=kind, name=name, attempts=1, started_at=1.0, ended_at=2.0, output=output, error=error)


async def test_answers_belong_to_what_was_asked() -> None:
    telling = Telling()
    asked = {"run": "r", "kind": "question", "text": "Which?", "schema": {"type": "string"}, "opened_at": 1.0}
    (first, second) = (telling.tell(step(n, ASK, {**asked, "id": f"q{n}"})) for n in (1, 2))
    assert first is not None
    assert second is not None
    assert (first.kind, first.text, list(telling.requests)) == ("asked", "Which?", ["q1", "q2"])
    answered = telling.tell(step(3, "wait", {"value": "b", "by": "ada", "at": 2.0, "request": "q2"}, kind="wait"))
    assert answered is not None
    assert answered.request is not None
    assert (answered.kind, answered.request.id, answered.name, answered.output) == ("answered", "q2", "ada", "b")
    expired = telling.tell(step(4, "wait", None, kind="wait"))
    assert expired is not None
    assert expired.request is not None
    assert (expired.request.id, expired.state, telling.requests) == ("q1", "expired", {})
    other = telling.tell(step(5, "wait", {"x": 1}, kind="wait"))
    assert other is not None
    assert other.kind == "step"
    failed = telling.tell(step(6, "tool pay", error="StorageError: full"))
    assert failed is not None
    assert (failed.kind, failed.state, failed.text) == ("step", "failed", "StorageError: full")


async def test_a_run_that_did_not_return_says_why() -> None:
    told: dict[str, object] = {
        "id": "r",
        "name": "agent/a",
        "version": 1,
        "organisation": "o",
        "state": "cancelled",
        "priority": 0,
        "labels": {},
    }
    rest = ("queue", "parent", "forked_from", "node", "started_at")
    times = {"created_at": 1.0, "updated_at": 2.0, "ended_at": 3.0}
    info = msgspec.convert({**told, **dict.fromkeys(rest), **times, "executions": 1, "trace_id": "t"}, RunInfo)
    over = ended(info, 4, None, "run r was cancelled")
    assert (over.number, over.state, over.code, over.text, over.at) == (4, "cancelled", "run_cancelled", "run r was cancelled", 3.0)
