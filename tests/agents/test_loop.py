"""An agent's run: what it does with what its model says, within its limits, on a real journal."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from tests.agents.scripted import Scripted, Stand, Turn, calls, says

from penstock.agents import Agent, Context, InDoubt, Limits, ToolContext, Transient, tool
from penstock.agents.context import tokens_of
from penstock.agents.loop import SAME, STUCK
from penstock.agents.model import Question, Said
from penstock.agents.terms import Terms, Unknown
from penstock.kernel.journal import Retry, RunFilter

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
NUMBERS = itertools.count()
QUICK = Retry(attempts=3, first_seconds=0.01)


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent(*tools: Any, name: str = "", **terms: Any) -> Agent:
    """An agent of a name that no other test has."""
    return Agent(name or f"a{next(NUMBERS)}", model="up/m", tools=tools, **terms)


async def test_it_calls_what_the_model_asks_for_and_answers(stand: Stand) -> None:
    one = agent(add, instructions="Be brief.")
    ended = await stand.ask(one, calls(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})), says("ten"), question="what is it?")
    assert (ended.state, ended.output) == ("done", "ten")
    assert (ended.spent.turns, ended.spent.calls, ended.spent.cost, ended.spent.tokens) == (2, 2, 20, 10)
    last = stand.model.asked[-1]
    assert [message["role"] for message in last.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [message["content"] for message in last.messages][:2] == ["Be brief.", "what is it?"]
    assert stand.heard(one) == ["3", "7"]
    # Each question begins as the one before it, so that a provider's cache holds.
    assert [list(asked.messages)[:2] for asked in stand.model.asked] == [list(last.messages)[:2]] * 2


async def test_what_cannot_be_called_is_told_to_the_model(stand: Stand) -> None:
    one = agent(add)
    ended = await stand.ask(one, calls(("subtract", {}), ("add", '{"a": 1'), ("add", {"a": "1", "b": 2})), says("sorry"))
    assert (ended.state, ended.spent.calls) == ("done", 0)
    unknown, cut, wrong = stand.heard(one)
    assert unknown == "There is no tool 'subtract'. There are: add."
    assert "not as its schema says" in cut
    assert "$.a" in wrong


async def test_a_tool_that_returns_nothing_is_told_as_such_and_one_that_found_nothing_as_null(stand: Stand) -> None:
    @tool(effect="write")
    async def note(text: str) -> None:
        """Write a note."""

    @tool
    async def look(number: str) -> int | None:
        """Look."""
        return None

    one = agent(note, look)
    await stand.ask(one, calls(("note", {"text": "a"}), ("look", {"number": "1"})), says("noted"))
    assert stand.heard(one) == ["note was called and gave nothing back.", "null"]


async def test_the_same_call_again_and_again_is_refused_and_then_ends_the_run(stand: Stand) -> None:
    made: list[int] = []

    @tool
    async def look() -> str:
        """Look."""
        made.append(1)
        return "nothing"

    one = agent(look)
    ended = await stand.ask(one, calls(("look", {})))
    assert (ended.state, ended.code, len(made), ended.spent.turns) == ("stuck", "stuck", SAME, STUCK)
    assert stand.heard(one)[-1].startswith("This was called 4 times with these arguments before")


@pytest.mark.parametrize(
    ("limits", "code", "turns"),
    [
        (Limits(turns=2), "limit_turns", 2),
        (Limits(tokens=11), "limit_tokens", 0),  # the question alone has more
        (Limits(calls=2), "limit_calls", 2),
        (Limits(usd=0.000025), "limit_usd", 2),  # a third question like the first two would go past it
        (Limits(seconds=0.0), "limit_seconds", 0),
        (Limits(depth=0), "limit_depth", 0),
    ],
)
async def test_limits_end_it(stand: Stand, limits: Limits, code: str, turns: int) -> None:
    count = itertools.count()
    one = agent(add)
    ended = await stand.ask(one, lambda _: calls(("add", {"a": next(count), "b": 0})), limits=limits)
    assert (ended.state, ended.code, ended.spent.turns) == ("limit", code, turns)


async def test_the_limits_of_a_start_widen_nothing(stand: Stand) -> None:
    count = itertools.count()
    one = agent(add, limits=Limits(turns=1))
    ended = await stand.ask(one, lambda _: calls(("add", {"a": next(count), "b": 0})), limits=Limits(turns=9))
    assert (ended.code, ended.spent.turns) == ("limit_turns", 1)


async def test_tokens_that_are_left_are_the_longest_answer(stand: Stand) -> None:
    one = agent(add)
    await stand.ask(one, calls(("add", {"a": 1, "b": 2}), tokens=90), says("3"), limits=Limits(tokens=300))
    first, second = (asked.max_tokens or 0 for asked in stand.model.asked)
    sent = [tokens_of(one.messages) + tokens_of(one.tools) for one in stand.model.asked]
    assert first == 300 - sent[0]
    # What the first answer used is known; what came after it is estimated.
    assert second == 300 - 90 - 90 - tokens_of(stand.model.asked[1].messages[-1])


async def test_the_first_question_too_stays_within_what_is_left_of_the_money(stand: Stand) -> None:
    class Dear:
        def of(self, model: str, organisation: str) -> Terms:
            return Terms(input=2.0, output=10.0)

    stand.agents.known_terms = Dear()
    try:
        one = agent()
        ended = await stand.ask(one, says("ok"), limits=Limits(usd=0.0001))
        assert ended.state == "done"
        (asked,) = stand.model.asked
        assert asked.max_tokens == (100 - 2 * tokens_of(asked.messages)) // 10
        ended = await stand.ask(agent(), says("ok"), question="x" * 200, limits=Limits(usd=0.0001))
        assert (ended.state, ended.code, ended.spent.turns, stand.model.asked) == ("limit", "limit_usd", 0, [])
        assert "the question alone may cost" in ended.message
        ended = await stand.ask(agent(params={"max_tokens": 3}), says("ok"), limits=Limits(usd=1.0))
        assert [asked.max_tokens for asked in stand.model.asked] == [3]
    finally:
        stand.agents.known_terms = Unknown()


async def test_a_conversation_that_outgrows_its_model_goes_on_with_a_summary(stand: Stand) -> None:
    count = itertools.count()

    @tool
    async def read(n: int) -> str:
        """Read."""
        return f"page {n} " + "x" * 900

    def turn(question: Question) -> Said:
        if question.messages[0]["content"].startswith("Below is the older part"):
            return says("pages were read")
        return calls(("read", {"n": next(count)}), tokens=0)

    one = agent(read, instructions="Read all.", context=Context(window=2000, answer=200), limits=Limits(turns=20))
    stand.model = Scripted(**{one.name: [turn]})
    stand.define(one)
    run = await stand.start(one)
    ended = await stand.result(run)
    assert (ended.code, ended.spent.turns) == ("limit_turns", 20)
    talks = [asked for asked in stand.model.asked if asked.tools]
    assert max(tokens_of(asked.messages) + tokens_of(asked.tools) for asked in talks) <= 1800
    head = talks[0].messages
    assert all(asked.messages[:2] == head for asked in talks)  # what is at the top stays, for the provider's cache
    summed = [asked for asked in talks if "pages were read" in str(asked.messages)]
    assert summed[0].messages[2]["content"].startswith("[")
    assert "earlier messages" in summed[0].messages[2]["content"]
    for asked in talks:  # no result without its call
        ids = {call["id"] for message in asked.messages for call in message.get("tool_calls", ())}
        assert {message["tool_call_id"] for message in asked.messages if message["role"] == "tool"} <= ids
    steps = [step.name for step in await stand.journal.history(None, run)]
    assert 2 <= steps.count("summarise") <= 8


async def test_what_only_reads_runs_side_by_side_and_what_changes_something_does_not(stand: Stand) -> None:
    within: list[str] = []
    at_once: dict[str, int] = {"look": 0, "change": 0}
    both = asyncio.Event()

    async def inside(what: str) -> None:
        within.append(what)
        at_once[what] = max(at_once[what], len(within))
        if what == "look":
            if len(within) == 2:
                both.set()
            await both.wait()
        within.remove(what)

    @tool
    async def look(n: int) -> int:
        """Look."""
        await inside("look")
        return n

    @tool(effect="write")
    async def change(n: int) -> int:
        """Change."""
        await inside("change")
        return n

    one = agent(look, change)
    wanted = [("look", 1), ("look", 2), ("change", 3), ("change", 4)]
    ended = await stand.ask(one, calls(*((name, {"n": n}) for name, n in wanted)), says("ok"))
    assert (ended.state, at_once, stand.heard(one)) == ("done", {"look": 2, "change": 1}, ["1", "2", "3", "4"])


async def test_a_busy_tool_is_called_again_under_its_key(stand: Stand) -> None:
    seen: list[tuple[str, int]] = []

    @tool(effect="write", honours_key=True, retry=QUICK)
    async def pay(context: ToolContext) -> str:
        """Pay."""
        seen.append((context.key, context.attempt))
        if len(seen) < 3:
            raise Transient("busy", after=0.02)
        return "paid"

    one = agent(pay)
    ended = await stand.ask(one, calls(("pay", {})), says("ok"))
    assert (ended.state, stand.heard(one)) == ("done", ["paid"])
    assert [attempt for _, attempt in seen] == [1, 2, 3]
    assert len({key for key, _ in seen}) == 1


async def test_a_tool_that_stays_busy_has_failed(stand: Stand) -> None:
    @tool(retry=QUICK)
    async def look() -> str:
        """Look."""
        raise Transient("busy")

    one = agent(look)
    ended = await stand.ask(one, calls(("look", {})), says("no luck"))
    assert (ended.state, stand.heard(one)) == ("done", ["This failed: Transient: busy"])


async def test_what_is_in_doubt_is_said_and_kept(stand: Stand) -> None:
    @tool(effect="irreversible")
    async def pay() -> str:
        """Pay."""
        raise InDoubt("the line went dead")

    one = agent(pay)
    ended = await stand.ask(one, calls(("pay", {})), says("I do not know"))
    assert "Nobody knows whether this happened" in stand.heard(one)[0]
    (key,) = ended.in_doubt
    (line,) = [line for line in await stand.effects.in_doubt(None, 1000) if line.key == key]
    assert (line.tool, line.state) == ("pay", "in_doubt")


class Verdict(Struct):
    """An answer with a shape."""

    score: int
    why: str = ""


async def test_an_answer_of_the_wrong_type_is_asked_for_again(stand: Stand) -> None:
    one = agent(output=Verdict)
    ended = await stand.ask(one, says("it is fine"), says('```json\n{"score": 3}\n```'))
    assert (ended.state, ended.output) == ("done", {"score": 3, "why": ""})
    assert '"score"' in stand.model.asked[0].messages[0]["content"]
    assert "cannot be used" in stand.model.asked[1].messages[-1]["content"]
    ended = await stand.ask(agent(output=Verdict), says("it is fine"))
    assert (ended.state, ended.code, ended.spent.turns) == ("failed", "output_invalid", 3)


async def test_a_model_that_is_busy_is_asked_again_and_one_that_refuses_is_not(stand: Stand) -> None:
    busy = iter([Said(error="overloaded", again=0.01), Said(error="rate_limit_exceeded", again=0.01), says("here")])
    ended = await stand.ask(agent(), lambda _: next(busy))
    assert (ended.state, ended.spent.turns) == ("done", 1)
    ended = await stand.ask(agent(), Said(error="insufficient_quota", message="the budget is spent"))
    assert (ended.state, ended.code, ended.message) == ("failed", "insufficient_quota", "the budget is spent")


async def test_nothing_is_waited_for_longer_than_the_run_may_last(stand: Stand) -> None:
    ended = await stand.ask(agent(), Said(error="overloaded", again=3600.0), limits=Limits(seconds=0.2))
    assert (ended.state, ended.code, ended.spent.turns) == ("limit", "limit_seconds", 0)


async def test_agents_ask_agents_and_hand_down_what_is_left(stand: Stand) -> None:
    helper = agent(add, name="helper", description="Adds.")
    one = agent(helper)
    twice = calls(("ask_helper", {"question": "1+2"}), ("ask_helper", {"question": "3+4"}))
    ended = await stand.ask(
        one,
        twice,
        says("both"),
        limits=Limits(tokens=1005, turns=9),
        helper=[lambda question: says(question.messages[-1]["content"] + " is known")],
    )
    assert (ended.state, stand.heard(one)) == ("done", ["1+2 is known", "3+4 is known"])
    assert (ended.spent.turns, ended.spent.tokens) == (4, 20)
    asked = [question for question in stand.model.asked if question.labels["agent"] == "helper"]
    assert [question.max_tokens for question in asked] == [417, 417]
    assert stand.model.asked[0].tools[0]["function"]["description"] == "Adds."


async def test_what_a_cancelled_agent_was_given_is_not_given_out_again(stand: Stand) -> None:
    begun = asyncio.Event()

    @tool
    async def think() -> str:
        """Think for ever."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    helper = agent(think, name="sunk", description="Thinks.")
    one = agent(helper)
    stand.model = Scripted(sunk=[calls(("think", {}))], **{one.name: [calls(("ask_sunk", {"question": "?"})), says("never said")]})
    stand.define(one)
    run = await stand.start(one, limits=Limits(tokens=1005, usd=1.0))
    await begun.wait()
    (child,) = await stand.journal.list(None, RunFilter(parent=run))
    await stand.journal.cancel(None, child.id)
    ended = await stand.result(run)
    assert (ended.state, ended.code, ended.spent.tokens) == ("limit", "limit_usd", 1005)


async def test_agents_that_ask_each_other_come_to_an_end(stand: Stand) -> None:
    one, other = agent(name="ping"), agent(name="pong")
    one.agents["ask_pong"], other.agents["ask_ping"] = other, one
    ended = await stand.ask(
        one,
        calls(("ask_pong", {"question": "?"})),
        says("enough"),
        limits=Limits(depth=3),
        pong=[calls(("ask_ping", {"question": "?"})), says("enough of this")],
    )
    assert (ended.state, ended.output) == ("done", "enough")
    asked = [question.labels["agent"] for question in stand.model.asked]
    assert asked == ["ping", "pong", "ping", "ping", "pong", "ping"]  # the fourth, one too deep, asks nobody


async def test_the_journal_grows_with_what_was_said_and_not_with_its_square(stand: Stand) -> None:
    count = itertools.count()

    @tool
    async def read(n: int) -> str:
        """Read."""
        return "x" * 2000

    one = agent(read)
    turns: list[Turn] = [lambda _: calls(("read", {"n": next(count)}))] * 40
    stand.model = Scripted(**{one.name: [*turns, says("read")]})
    stand.define(one)
    run = await stand.start(one)
    assert (await stand.result(run)).state == "done"
    steps = await stand.journal.history(None, run)
    said = sum(len(str(message["content"])) for message in stand.model.asked[-1].messages)
    assert said > 80_000
    assert sum(len(msgspec.json.encode(step.output)) for step in steps) < 1.25 * said
