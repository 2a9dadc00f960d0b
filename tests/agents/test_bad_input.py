"""Tools, models and workflows that do not behave: each ends in a clear, journalled outcome within its limits, and the house goes on."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import msgspec
import pytest
from tests.agents.scripted import Stand, calls, says

from penstock.agents import Agent, Limits, sleep, tool, workflow
from penstock.agents.model import Said
from penstock.agents.performing import Outcome
from penstock.agents.running import Ended
from penstock.agents.threads import THREADS
from penstock.kernel.journal import Retry

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
ONCE = Retry(attempts=1)
QUICK = Retry(attempts=2, first_seconds=0.01)
NUMBERS = itertools.count()
stop = threading.Event()


@tool(retry=ONCE)
async def raises() -> str:
    """Raise what cannot even be told."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    raise Odd


@tool(seconds=0.05, retry=QUICK)
async def hangs() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


@tool(seconds=0.05, retry=QUICK)
def hangs_on_a_thread() -> str:
    """Never answer, and hold a thread."""
    stop.wait()
    return ""


@tool(seconds=0.05, effect="irreversible", retry=ONCE)
def loops_for_ever() -> str:
    """Work without an end, on something that changes the world."""
    while not stop.wait(0.001):
        pass
    return ""


@tool
async def returns_too_much() -> str:
    """50 MB."""
    return "x" * 50_000_000


@tool
async def returns_no_json() -> Any:
    """Something that is no JSON."""
    return object()


@tool
async def returns_what_holds_itself() -> Any:
    """A list that has itself within."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


async def outcome(stand: Stand, name: str, ended: Ended, run: str) -> Outcome:
    """What is journalled of the tool's last call."""
    steps = [step for step in await stand.journal.history(None, run) if step.name == f"tool {name}"]
    assert ended.state == "done"
    return msgspec.convert(steps[-1].output, Outcome)


@pytest.mark.parametrize(
    ("made", "state", "code", "heard"),
    [
        (raises, "failed", "tool_failed", "This failed: Odd"),
        (hangs, "failed", "tool_timeout", "hangs did not answer within 0.05 s"),
        (hangs_on_a_thread, "failed", "tool_timeout", "hangs_on_a_thread did not answer within 0.05 s"),
        (loops_for_ever, "in_doubt", "tool_in_doubt", "Nobody knows whether this happened"),
        (returns_too_much, "done", "tool_result_cut", "more bytes were left out]"),
        (returns_no_json, "done", "tool_result_unreadable", "cannot be told as JSON"),
        (returns_what_holds_itself, "done", "tool_result_unreadable", "cannot be told as JSON"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_tool_that_does_not_behave(stand: Stand, made: Any, state: str, code: str, heard: str) -> None:
    one = Agent(f"bad{next(NUMBERS)}", model="up/m", tools=[made])
    before = THREADS.held
    try:
        ended = await stand.ask(one, calls((made.name, {})), says("so be it"))
    finally:
        stop.set()
        async with asyncio.timeout(20):  # what hangs is left alone, and counted while it does
            while THREADS.held > before:
                await asyncio.sleep(0)
        stop.clear()
    (run,) = {asked.labels["run"] for asked in stand.model.asked}
    found = await outcome(stand, made.name, ended, run)
    assert (found.state, found.code, heard in stand.heard(one)[0]) == (state, code, True), found
    assert len(stand.heard(one)[0]) < 70_000


async def test_a_tool_has_no_longer_than_its_run(stand: Stand) -> None:
    @tool(seconds=3600, retry=ONCE)
    async def patient() -> str:
        """Wait."""
        await asyncio.Event().wait()
        return ""

    one = Agent("bad-patient", model="up/m", tools=[patient])
    ended = await stand.ask(one, calls(("patient", {})), says("?"), limits=Limits(seconds=0.3))
    assert (ended.state, ended.code) == ("limit", "limit_seconds")


def unknown(n: int) -> Said:
    return calls((f"nothing_like_it_{n}", {}))


def malformed(n: int) -> Said:
    return calls(("hangs", '{"n": ' + "[" * n))


def nested(n: int) -> Said:
    return calls(("hangs", "[" * 100_000))


def repeated(n: int) -> Said:
    return calls(*(("nothing", "{}") for _ in range(50)))


@pytest.mark.parametrize(
    ("turn", "state", "code"),
    [
        (unknown, "limit", "limit_turns"),
        (malformed, "limit", "limit_turns"),
        (nested, "stuck", "stuck"),
        (repeated, "stuck", "stuck"),
    ],
    ids=["unknown tools", "malformed arguments", "endless nesting", "the same again and again"],
)
async def test_a_model_that_does_not_behave(stand: Stand, turn: Any, state: str, code: str) -> None:
    count = itertools.count()

    def say(_: Any) -> Said:
        return turn(next(count))

    one = Agent(f"bad{next(NUMBERS)}", model="up/m", tools=[hangs])
    ended = await stand.ask(one, say, limits=Limits(turns=8))
    assert (ended.state, ended.code, ended.spent.calls) == (state, code, 0)


async def test_agents_and_workflows_that_call_each_other_in_a_circle(stand: Stand) -> None:
    @workflow
    async def round_about(question: str) -> str:
        """Ask the agent that asks this."""
        return await circle(question)

    circle = Agent("bad-circle", model="up/m", tools=[round_about])
    asks = calls(("round_about", {"question": "?"}))
    ended = await stand.ask(circle, asks, says("enough"), limits=Limits(depth=5))
    assert (ended.state, ended.output) == ("done", "enough")
    assert ended.spent.calls <= 5


async def test_a_workflow_that_goes_round_for_ever(stand: Stand) -> None:
    @workflow(limits=Limits(calls=20))
    async def endless(text: str) -> str:
        while True:
            await sleep(0.001)

    stand.define(endless)
    run = await stand.start(endless, "?")
    ended = await stand.result(run)
    assert (ended.state, ended.code, ended.spent.calls) == ("limit", "limit_calls", 20)
    assert len(await stand.journal.history(None, run)) == 21
