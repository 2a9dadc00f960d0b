"""Workflows on a real journal: what they do is done once, in one order, within their limits, also when they are executed again."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from msgspec import Struct
from tests.agents.scripted import Scripted, Stand, calls, says

from penstock.agents import Agent, Limits, ask_human, on_event, parallel, sleep, step, tool, workflow
from penstock.agents.events import Telling
from penstock.agents.here import NotHere
from penstock.agents.model import Question, Said
from penstock.agents.startable import Startable
from penstock.kernel.agents import AgentRequest
from penstock.kernel.errors import StepFailed
from penstock.kernel.journal import RunState, StepInfo

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


class Page(Struct):
    title: str
    words: int


@tool
async def fetch(title: str) -> Page:
    """Fetch a page."""
    if title == "gone":
        raise ValueError("it is gone")
    return Page(title, len(title))


async def steps_of(stand: Stand, run: str) -> list[StepInfo]:
    return list(await stand.journal.history(None, run))


async def asked(stand: Stand, run: str) -> AgentRequest:
    """What the run asks people, once it does."""
    telling = Telling()
    async for one in stand.journal.watch(None, run):
        telling.tell(one)
        if telling.requests:
            return next(iter(telling.requests.values()))
    raise AssertionError("nobody was asked")


async def answer(stand: Stand, request: AgentRequest, value: Any) -> None:
    await stand.journal.signal(None, request.run, f"request/{request.id}", {"value": value, "by": "ada", "at": request.opened_at})


async def start(stand: Stand, one: Startable, *args: Any, limits: Limits | None = None) -> str:
    return await stand.start(one, one.bound(args, {}), limits=limits)


def about(question: Question) -> Said:
    """A turn that repeats what was asked."""
    return says(f"about {question.messages[-1]['content']}")


searcher = Agent("f-searcher", model="up/m", tools=[fetch])


async def test_a_fan_out_keeps_its_order_and_loses_nobody(stand: Stand) -> None:
    at_once: list[int] = [0, 0]

    async def slow(n: int) -> int:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0.01 * (3 - n))
        at_once[0] -= 1
        if n == 1:
            raise ValueError("not one")
        return n

    @workflow
    async def research(topics: list[str]) -> list[str]:
        """Look several things up."""
        found = await parallel(
            *(partial(searcher, topic) for topic in topics),
            *(partial(slow, n) for n in range(3)),
            partial(fetch, "gone"),
            partial(fetch, title="here"),
            at_once=2,
        )
        return [str(one) for one in found]

    stand.model = Scripted(**{"f-searcher": [about]})
    stand.define(research, searcher)
    run = await start(stand, research, ["a", "b", "c"])
    ended = await stand.result(run)
    assert ended.output == [
        *("about a", "about b", "about c"),
        *("0", "not one", "2"),
        *("ValueError: it is gone", "Page(title='here', words=4)"),
    ]
    assert (ended.spent.cost, ended.spent.turns, ended.spent.calls, at_once) == (30, 3, 8, [0, 2])
    kinds = [one.kind if one.kind != "step" else one.name for one in await steps_of(stand, run)]
    fan = ["child", "child", "do slow", "do slow", "do slow", "tool fetch", "tool fetch", "result", "child", "result", "result"]
    assert kinds == ["begin", *fan]


async def test_people_answer_in_the_type_that_was_asked_for(stand: Stand) -> None:
    @workflow
    async def survey(text: str) -> list[str]:
        first = await ask_human(text, Page)
        second = await ask_human("Still there?", bool, seconds=0.05, default=False)
        return [first.title, str(second)]

    stand.define(survey)
    run = await start(stand, survey, "Which page?")
    request = await asked(stand, run)
    assert (request.text, request.kind, request.schema is not None) == ("Which page?", "question", True)
    await answer(stand, request, {"title": "start", "words": 3})
    ended = await stand.result(run)
    assert (ended.state, ended.output) == ("done", ["start", "False"])
    assert [one.name for one in await steps_of(stand, run)] == ["begin", "ask", "wait", "ask", "wait"]


async def test_a_run_that_is_taken_up_again_does_not_do_again_what_it_did(stand: Stand) -> None:
    made: list[str] = []

    @tool(effect="write")
    async def book(what: str) -> str:
        """Book."""
        made.append(what)
        return f"booked {what}"

    @workflow
    async def trip(to: str) -> str:
        first = await book(to)
        noted = await step(made.count, to)
        who = await ask_human("Who goes?")
        return f"{first} {noted} {who}"

    stand.define(trip)
    run = await start(stand, trip, "Rome")
    request = await asked(stand, run)
    await stand.journal.pause(None, run)
    await stand.journal.resume(None, run)
    await answer(stand, request, "ada")
    ended = await stand.result(run)
    assert (ended.output, made) == ("booked Rome 1 ada", ["Rome"])
    assert [one.tool for one in await stand.effects.of_run(None, run)] == ["book"]


@pytest.mark.parametrize("before", [True, False])
async def test_an_event_is_heard_whether_it_was_sent_before_or_after(stand: Stand, before: bool) -> None:
    name = f"paid-{before}"

    @workflow(name=f"hears-{before}")
    async def hears(order: str) -> list[int]:
        await ask_human("Go on?")
        first = await on_event(name, Page, where={"title": order}, seconds=30)
        second = await on_event(name, Page, where={"title": order}, seconds=30)
        try:
            await on_event(name, where={"title": "9"}, seconds=0.02)
        except TimeoutError:
            return [first.words, second.words]
        return []

    async def send(title: str, words: int) -> int:
        return (await stand.occasions.send("org", name, {"title": title, "words": words}, key=f"{name}/{words}"))[1]

    stand.define(hears)
    run = await start(stand, hears, "7")
    request = await asked(stand, run)
    if before:
        assert [await send("7", 1), await send("7", 2)] == [0, 0]
        await answer(stand, request, "yes")
    else:
        await answer(stand, request, "yes")
        for waited in (1, 2):
            await seen(stand, run, f"listen {name}", waited)
            assert [await send("8", 100 + waited), await send("7", waited)] == [0, 1]
    assert (await stand.result(run)).output == [1, 2]


async def seen(stand: Stand, run: str, name: str, times: int) -> None:
    found = 0
    async for one in stand.journal.watch(None, run):
        found += one.name == name
        if found == times:
            return
    raise AssertionError(f"{name} was not done {times} times")


async def test_limits_are_of_the_whole_tree(stand: Stand) -> None:
    greedy = Agent("f-greedy", model="up/m", tools=[fetch])

    @workflow
    async def spends(times: int) -> str:
        for _ in range(times):
            await parallel(*(partial(greedy, "?") for _ in range(2)))
        return "nothing is left below"

    stand.model = Scripted(**{"f-greedy": [calls(("fetch", {"title": "x"})), says("ok")]})
    stand.define(spends, greedy)
    ended = await stand.result(await start(stand, spends, 100, limits=Limits(usd=0.0001)))
    assert (ended.state, ended.code) == ("limit", "limit_usd")
    assert ended.spent.cost <= 100
    ended = await stand.result(await start(stand, spends, 100, limits=Limits(calls=9)))
    assert (ended.state, ended.code, ended.spent.calls <= 9) == ("limit", "limit_calls", True)
    ended = await stand.result(await start(stand, spends, 2, limits=Limits(depth=1)))
    assert (ended.state, ended.spent.cost) == ("done", 0)


async def test_nothing_is_waited_for_beyond_the_end_of_the_run(stand: Stand) -> None:
    @workflow(limits=Limits(seconds=0.1))
    async def patient(text: str) -> str:
        return await ask_human(text, seconds=3600, default="nobody")

    @workflow(limits=Limits(seconds=0.1))
    async def sleepy(text: str) -> str:
        await sleep(3600)
        return text

    stand.define(patient, sleepy)
    for one in (patient, sleepy):
        ended = await stand.result(await start(stand, one, "?"))
        assert (ended.state, ended.code) == ("limit", "limit_seconds")


async def test_what_a_workflow_raises_is_how_it_ended(stand: Stand) -> None:
    @workflow
    async def breaks(how: str) -> int:
        if how == "both":
            await asyncio.gather(fetch("a"), fetch("b"))
        if how == "type":
            return "text"  # type: ignore[return-value]
        if how == "tool":
            await fetch("gone")
        if how == "unknown":
            await Agent("f-nobody", model="up/m")("?")
        raise RuntimeError("api_key=sk-abcdefghijklmnopqrstuvwxyz0123456789")

    stand.define(breaks)
    for how, code, said in (
        *(("both", "not_durable_here", "one durable thing at a time"), ("type", "workflow_failed", "Expected `int`")),
        *(
            ("tool", "tool_failed", "it is gone"),
            ("unknown", "not_found", "is not known here"),
            ("else", "workflow_failed", "RuntimeError"),
        ),
    ):
        run = await start(stand, breaks, how)
        ended = await stand.result(run)
        assert (ended.state, ended.code, said in ended.message) == ("failed", code, True), ended
        assert "sk-abcdef" not in ended.message
        assert (await stand.journal.get(None, run)).state is RunState.DONE


async def test_a_workflow_is_a_tool_of_agents_that_waits(stand: Stand) -> None:
    @workflow
    async def approve(what: str) -> bool:
        """Have a person look."""
        return await ask_human(what, bool)

    one = Agent("f-careful", model="up/m", tools=[approve])
    stand.model = Scripted(**{"f-careful": [calls(("approve", {"what": "Pay 5?"}), ("approve", {"who": "?"})), says("paid")]})
    stand.define(one)
    run = await stand.start(one)
    async for done in stand.journal.watch(None, run):
        if done.kind == "child":
            assert done.child is not None
            await answer(stand, await asked(stand, done.child), True)
            break
    assert (await stand.result(run)).output == "paid"
    heard = stand.heard(one)
    assert heard[0] == "true"
    assert "not as its schema says" in heard[1]
    told = stand.model.asked[0].tools[0]["function"]
    assert (told["name"], told["description"], list(told["parameters"]["properties"])) == ("approve", "Have a person look.", ["what"])


async def test_durable_calls_do_not_stand_inside_steps(stand: Stand) -> None:
    async def inside() -> str:
        with pytest.raises(NotHere, match="make it a @workflow"):
            await sleep(1)
        return str(await fetch("plain"))  # the function as it is: the step is journalled as a whole

    @workflow
    async def outside(text: str) -> str:
        try:
            await parallel(partial(fetch, "a"), at_once=0)
        except ValueError:
            return await step(inside)
        return text

    stand.define(outside)
    run = await start(stand, outside, "?")
    assert (await stand.result(run)).output == "Page(title='plain', words=5)"
    assert [one.name for one in await steps_of(stand, run)] == ["begin", "do inside"]
    with pytest.raises(StepFailed):
        await stand.journal.result(None, await stand.journal.start(outside.run, {"key": 1}, organisation="org"), 10.0)
