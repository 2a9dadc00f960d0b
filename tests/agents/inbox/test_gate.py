"""Ways around the agreement of others that lead nowhere, on a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from msgspec import structs
from tests.agents.inbox.people import ada, ben, cem, opened, paid, pay, payer, person
from tests.agents.scripted import KEYS, Scripted, Stand, calls, says

from penstock.agents import Agent, ask_human, parallel, step, workflow
from penstock.agents.asking import Asking
from penstock.agents.inbox.policy import Rule
from penstock.agents.inbox.settings import InboxSettings
from penstock.agents.running import Start
from penstock.agents.startable import Startable
from penstock.kernel.errors import Forbidden, JournalUnavailable
from penstock.kernel.principal import Scope

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
SETTINGS = InboxSettings(
    rules=(
        Rule(name="closing pays nobody", agents=("closing",), refuse=True),
        Rule(name="much needs two", tools=("pay",), unit="EUR", above=100, people=2),
        Rule(name="names that people gave", tools=("pay",), argument_labels=("answered",), refuse=True),
        Rule(name="pay", tools=("pay",), people=1),
    ),
)


@workflow
async def closing(to: str) -> str:
    """Close an account."""
    return await pay(to, 1000)  # type: ignore[call-arg]


@workflow
async def hidden(to: str) -> str:
    """Pay within a step."""

    async def inside() -> str:
        return await pay(to, 1000)  # type: ignore[call-arg]

    found = await parallel(lambda: pay(to, 1000))  # type: ignore[call-arg]
    return f"{found[0]} {await step(inside)}"


@workflow
async def careful(to: str) -> str:
    """Ask, and say what was said."""
    return f"{to}: {await ask_human('Well?', str, to=('person:cem',))}"


@workflow
async def told(to: str) -> str:
    """Pay whom people name."""
    return await pay(await ask_human("Whom?", str, to=("person:cem",)), 1000)  # type: ignore[call-arg]


clerk = Agent("clerk", model="scripted", tools=[closing])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    made = Stand(tmp_path_factory.mktemp("gate"), inbox=SETTINGS)
    await made.open()
    made.define(payer, clerk, hidden, careful, told)
    try:
        yield made
    finally:
        await made.close()


async def begin(stand: Stand, one: Startable, input: Any, *turns: Any) -> str:
    stand.model = Scripted(**{one.name: turns})
    paid.clear()
    start = Start(input=input, key=ada.key_id, person="ada")
    return await stand.journal.start(one.run, msgspec.to_builtins(start), organisation="org", labels={one.kind: one.name})


async def asking(stand: Stand, run: str) -> int:
    """The number of the step with which the run asks, once it is journalled."""
    async for one in stand.journal.watch(None, run):
        if one.name == "ask":
            return one.number
    raise AssertionError("nobody was asked")


async def test_rules_about_a_workflow_hold_below_an_agent_too(stand: Stand) -> None:
    run = await begin(stand, clerk, "close it", calls(("closing", {"to": "shop"})), says("it was refused"))
    assert (await stand.result(run)).output == "it was refused"
    assert "closing pays nobody" in stand.heard(clerk)[-1]
    assert paid == []


async def test_what_changes_something_is_not_done_inside_a_step(stand: Stand) -> None:
    run = await begin(stand, hidden, "shop")
    ended = await stand.result(run)
    assert (ended.state, paid) == ("failed", [])
    assert "inside a step nobody is asked" in ended.message
    assert await stand.effects.of_run(None, run) == []


async def test_who_lets_another_one_agree_counts_once_with_them(stand: Stand) -> None:
    run = await begin(stand, payer, "pay", calls(("pay", {"to": "shop", "cents": 50_000})), says("done"))
    request = await opened(stand, run)
    await stand.inbox.requests.answer(ben, request.id, {"approve": True})
    await stand.inbox.lend(ben, "eve", 60.0)
    told = await stand.inbox.requests.answer(person("eve", admin=False), request.id, {"approve": True})
    assert told.state == "open"
    await stand.inbox.requests.answer(cem, request.id, {"approve": True})
    assert (await stand.result(run)).state == "done"
    assert paid == [("shop", 50_000)]
    lines, _ = await stand.inbox.trail(cem, request.id)
    assert [line.person for line in lines if line.action == "said"] == ["cem", "eve", "ben"]
    assert await stand.inbox.trail(person("fay", organisation="other"), request.id) == ([], None)


def loses(how: str, key: str) -> None:
    """A key is made less, or nothing, of."""
    held = KEYS[key]
    if how == "role":
        KEYS[key] = structs.replace(held, scopes=frozenset({Scope.CALL, Scope.READ}))
    elif how == "organisation":
        KEYS[key] = structs.replace(held, organisation="elsewhere")
    else:
        del KEYS[key]


HOW = pytest.mark.parametrize("how", ["role", "key", "organisation"])


@HOW
async def test_nobody_stands_in_for_who_may_not_agree_any_more(stand: Stand, how: str) -> None:
    run = await begin(stand, payer, "pay", calls(("pay", {"to": "shop", "cents": 5000})), says("done"))
    request = await opened(stand, run)
    giver, eve = person(f"giver_{how}"), person(f"taker_{how}", admin=False)
    await stand.inbox.lend(giver, eve.person or "", 60.0)
    assert (await stand.inbox.view(eve, request.id)).may
    loses(how, giver.key_id)
    assert (await stand.inbox.view(eve, request.id)).why == "it goes to others"
    with pytest.raises(Forbidden) as refused:
        await stand.inbox.requests.answer(eve, request.id, {"approve": True})
    assert refused.value.code == "not_asked"
    KEYS[giver.key_id] = giver
    await stand.inbox.requests.answer(eve, request.id, {"approve": True})
    assert (await stand.result(run)).state == "done"
    assert paid == [("shop", 5000)]


@HOW
@pytest.mark.parametrize("who", ["giver", "taker", "voter"])
async def test_what_was_agreed_to_is_void_where_the_right_is_lost_before_the_call(stand: Stand, how: str, who: str) -> None:
    run = await begin(stand, payer, "pay", calls(("pay", {"to": "shop", "cents": 5000})), says("it was void"))
    request = await opened(stand, run)
    await stand.journal.pause(None, run)
    giver, taker = person(f"giver_{who}_{how}"), person(f"taker_{who}_{how}", admin=False)
    loan = await stand.inbox.lend(giver, taker.person or "", 60.0)
    voter = giver if who == "voter" else taker
    answered = await stand.inbox.requests.answer(voter, request.id, {"approve": True})
    assert answered.state == "approved"
    if (who, how) == ("taker", "role"):
        await stand.inbox.take_back(giver, loan.id)  # what was agreed to while it held stays agreed to
    else:
        loses(how, taker.key_id if who == "taker" else giver.key_id)
    await stand.journal.resume(None, run)
    assert (await stand.result(run)).state == "done"
    if (who, how) == ("taker", "role"):
        assert paid == [("shop", 5000)]
        return
    assert paid == []
    assert "may not any more" in stand.heard(payer)[-1]
    assert (await opened(stand, run, "void")).note == "who agreed to it may not, or may not any more"


async def test_a_yes_that_counts_no_more_is_made_up_for_by_another(stand: Stand) -> None:
    run = await begin(stand, payer, "pay", calls(("pay", {"to": "shop", "cents": 50_000})), says("done"))
    request = await opened(stand, run)
    await stand.inbox.requests.answer(person("gil"), request.id, {"approve": True})
    loses("key", "key_gil")
    assert (await stand.inbox.requests.answer(ben, request.id, {"approve": True})).state == "open"
    assert paid == []
    await stand.inbox.requests.answer(cem, request.id, {"approve": True})
    assert (await stand.result(run)).state == "done"
    assert paid == [("shop", 50_000)]


@pytest.mark.parametrize("answered", [False, True])
async def test_a_fork_asks_for_itself(stand: Stand, answered: bool) -> None:
    run = await begin(stand, payer, "pay", calls(("pay", {"to": "shop", "cents": 5000})), says("done"))
    first = await opened(stand, run)
    if answered:
        await stand.inbox.requests.answer(ben, first.id, {"approve": True})
        await stand.result(run)
    number = await asking(stand, run)
    for step_number in (number + 1, number + 2) if answered else (number + 1,):
        fork = await stand.journal.fork(None, run, step_number)
        before = len(paid)
        request = await opened(stand, fork)
        assert (request.id != first.id, len(paid)) == (True, before)
        await stand.inbox.requests.answer(ben, request.id, {"approve": True})
        assert (await stand.result(fork)).state == "done"
        assert len(paid) == before + 1


async def test_who_forks_a_run_may_not_approve_what_the_fork_does(stand: Stand) -> None:
    run = await begin(stand, payer, "pay", calls(("pay", {"to": "shop", "cents": 5000})), says("done"))
    number = await asking(stand, run)
    fork = await stand.journal.fork(None, run, number, by=ben.ids)
    again = await stand.journal.fork(None, fork, number, by=cem.ids)
    request = await opened(stand, again)
    for one in (ben, cem):
        with pytest.raises(Forbidden) as refused:
            await stand.inbox.requests.answer(one, request.id, {"approve": True})
        assert refused.value.code == "self_approval"
    assert paid == []
    await stand.inbox.requests.answer(person("fay"), request.id, {"approve": True})
    assert (await stand.result(again)).state == "done"
    assert paid == [("shop", 5000)]


async def test_a_fork_asks_people_again(stand: Stand) -> None:
    run = await begin(stand, careful, "shop")
    first = await opened(stand, run)
    number = await asking(stand, run)
    fork = await stand.journal.fork(None, run, number + 1)
    request = await opened(stand, fork)
    assert request.id != first.id
    await stand.inbox.requests.answer(cem, request.id, "yes")
    assert (await stand.result(fork)).output == "shop: yes"
    await stand.inbox.requests.answer(cem, first.id, "no")
    assert (await stand.result(run)).output == "shop: no"


async def test_what_people_answer_is_labelled_so(stand: Stand) -> None:
    run = await begin(stand, told, "go")
    request = await opened(stand, run)
    await stand.inbox.requests.answer(cem, request.id, "a friend of mine")
    ended = await stand.result(run)
    assert (ended.state, paid) == ("failed", [])
    assert "names that people gave" in ended.message


async def test_what_cannot_be_told_to_runs_now_is_told_later(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def closed(*_: Any, **__: Any) -> None:
        raise JournalUnavailable("the journal is closed")

    with monkeypatch.context() as patch:
        patch.setattr(stand.journal, "signal", closed)
        for n in range(101):
            asking = Asking(run=f"gone{n}", organisation="org", key="k", person="", agent="a", ordinal=1, text="?", schema={}, seconds=60)
            await stand.inbox.requests.answer(ben, (await stand.inbox.open(asking)).id, "yes")
        async with asyncio.timeout(20):
            await stand.inbox.tell()
        assert await stand.inbox.requests.tell() == 0
    await stand.inbox.tell()
    assert await stand.inbox.requests.tell() == 0
