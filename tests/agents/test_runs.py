"""The agents' port: what other rooms start, watch, answer and cancel."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.agents.scripted import Scripted, Stand, calls, says

from penstock.agents import Agent, tool
from penstock.agents.runs import Runs
from penstock.agents.service import QUEUE
from penstock.kernel.agents import ASK, AgentEvent, AgentRequest
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError
from penstock.kernel.journal import Queue, Run
from penstock.kernel.principal import Principal, Scope

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
NUMBERS = itertools.count()
ANN = Principal(key_id="k-ann", name="ann", organisation="org", person="ann", scopes=frozenset({Scope.CALL, Scope.READ}), home=True)
STRANGER = Principal(key_id="k-bob", name="bob", organisation="other", scopes=frozenset({Scope.CALL}))


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@pytest.fixture(scope="module")
def runs(stand: Stand) -> Runs:
    one = Agent("runner", model="up/m", description="Adds.", tools=[add])
    stand.define(one)
    stand.journal.declare(Queue(name=QUEUE))
    stand.agents.known = {"runner": one}
    return Runs(stand.agents, lambda: stand.journal)


async def all_of(events: AsyncIterator[AgentEvent]) -> list[AgentEvent]:
    async with asyncio.timeout(20):
        return [event async for event in events]


async def test_whoever_comes_back_is_told_the_rest(stand: Stand, runs: Runs) -> None:
    stand.model = Scripted(runner=[calls(("add", {"a": 1, "b": 2})), says("3")])
    run = await runs.begin(ANN, "runner", "add", key="once")
    assert await runs.begin(ANN, "runner", "add", key="once") == run
    events = await all_of(runs.watch(ANN, run))
    assert [one.kind for one in events] == ["began", "said", "result", "said", "ended"]
    assert (events[2].call, events[-1].output, events[-1].number) == ("c0", "3", events[-2].number + 1)
    assert await all_of(runs.watch(ANN, run, after=events[1].number)) == events[2:]
    standing = await runs.look(ANN, run)
    assert (standing.agent, standing.state, standing.ended) == ("runner", "done", events[-1])
    with pytest.raises(NotFound):
        await runs.look(STRANGER, run)
    with pytest.raises(NotFound):
        await all_of(runs.watch(STRANGER, run))


async def test_there_is_a_card_for_who_may_start_it(stand: Stand, runs: Runs) -> None:
    (card,) = runs.cards(ANN)
    assert (card.name, card.kind, card.input, card.tools) == ("runner", "agent", {"type": "string"}, {"add": "read"})
    assert runs.cards(STRANGER) == []
    with pytest.raises(NotFound):
        await runs.begin(STRANGER, "runner", "add")
    with pytest.raises(RequestError, match="takes text"):
        await runs.begin(ANN, "runner", {"not": "text"})
    with pytest.raises(Forbidden):
        await runs.begin(msgspec.structs.replace(ANN, scopes=frozenset({Scope.READ})), "runner", "add")


async def asking(stand: Stand, schema: dict[str, Any] | None = None) -> str:
    """A run that asks people one thing and returns the answer."""

    async def execute(run: Run, given: Any) -> Any:
        request = AgentRequest(id=f"{run.id}-1", run=run.id, kind="question", text="Which?", schema=schema)

        async def opened() -> Any:
            return msgspec.to_builtins(request)

        await run.step(ASK, opened)
        return await run.wait(f"request/{request.id}")

    name = f"agent/asks{next(NUMBERS)}"
    stand.journal.define(name, execute)
    return await stand.journal.start(name, organisation="org")


async def asked(runs: Runs, run: str) -> AgentRequest:
    async for event in runs.watch(ANN, run):
        if event.request is not None:
            return event.request
    raise AssertionError("nobody was asked")


async def test_an_answer_must_be_of_the_questions_schema(stand: Stand, runs: Runs) -> None:
    run = await asking(stand, {"type": "string", "enum": ["red", "blue"]})
    request = await asked(runs, run)
    standing = await runs.look(ANN, run)
    assert (standing.state, standing.requests) == ("waiting", (request,))
    with pytest.raises(RequestError, match="is not of the question's schema"):
        await runs.answer(ANN, run, request.id, "green")
    with pytest.raises(NotFound):
        await runs.answer(STRANGER, run, request.id, "red")
    with pytest.raises(Conflict):
        await runs.answer(ANN, run, "another", "red")
    await runs.answer(ANN, run, request.id, "red")
    events = await all_of(runs.watch(ANN, run))
    assert [(one.kind, one.output) for one in events[:-1]] == [("asked", None), ("answered", "red")]
    with pytest.raises(Conflict):
        await runs.answer(ANN, run, request.id, "blue")


async def test_a_cancelled_run_ends_its_watching(stand: Stand, runs: Runs) -> None:
    run = await asking(stand)
    await asked(runs, run)
    with pytest.raises(NotFound):
        await runs.cancel(STRANGER, run)
    await runs.cancel(ANN, run)
    events = await all_of(runs.watch(ANN, run))
    assert [(one.kind, one.state) for one in events] == [("asked", ""), ("ended", "cancelled")]
    with pytest.raises(Conflict):
        await runs.cancel(ANN, run)
