"""Schedules: each moment is one start, whoever sees it and whenever they die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from msgspec import structs
from tests.agents.scripted import Scripted, Stand, calls, says
from tests.agents.toolbox.calling import named

from penstock.agents.definition import Agent
from penstock.agents.limits import Limits
from penstock.agents.performing import Performing
from penstock.agents.running import Start
from penstock.agents.runs import Runs
from penstock.agents.scheduling.schedules import AT_HAND, Schedule, Schedules
from penstock.agents.service import QUEUE
from penstock.agents.toolbox import schedule
from penstock.agents.tools import ToolContext, tool
from penstock.kernel.errors import Conflict, NotFound, RequestError, Unauthenticated
from penstock.kernel.journal import Queue, RunFilter
from penstock.kernel.principal import Principal, Scope

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN = Principal(key_id="key", name="Ann's", organisation="org", home=True)
OTHER = Principal(key_id="other", name="Eve's", organisation="elsewhere", scopes=frozenset({Scope.ADMIN}))
ROOT = Principal(key_id="root", name="The operator's", organisation="elsewhere", home=True, scopes=frozenset({Scope.ADMIN}))


class Keys:
    """Who holds which key; one may be revoked."""

    def __init__(self) -> None:
        self.live = {one.key_id: one for one in (ANN, OTHER, ROOT)}

    def holder_of(self, key_id: str) -> Principal:
        if key_id not in self.live:
            raise Unauthenticated("the key was revoked")
        return self.live[key_id]


class Left:
    """Who has left."""

    def __init__(self) -> None:
        self.people: set[str] = set()

    def has_left(self, organisation: str, person: str) -> bool:
        return person in self.people


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Place:
    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.keys = Keys()
        self.clock = Clock()
        self.left = Left()
        self.runs = Runs(stand.agents, lambda: stand.journal)

    def schedules(self) -> Schedules:
        """As each of several processes has them."""
        others: dict[str, Any] = {"journal": lambda: self.stand.journal, "members": lambda: self.left}
        return Schedules(self.stand.records, lambda: self.runs, lambda: self.keys, self.clock, **others)

    async def one(self, id: str) -> Schedule:
        return next(one for one in await self.schedules().list(ANN) if one.id == id)

    async def started(self) -> list[str]:
        return [one.id for one in await self.stand.journal.list(None, RunFilter())]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    stand = Stand(tmp_path_factory.mktemp("schedules"))
    await stand.open()
    agent = Agent("reporter", model="up/m")
    stand.model = Scripted(reporter=[says("written")])
    stand.define(agent)
    stand.journal.declare(Queue(name=QUEUE))
    stand.agents.known = {"reporter": agent}
    try:
        yield Place(stand)
    finally:
        await stand.close()


async def test_again_and_again(place: Place) -> None:
    one, two = place.schedules(), place.schedules()
    made = await one.create(ANN, "reporter", "report", cron="0 * * * *", key="daily")
    assert (await two.create(ANN, "reporter", "report", cron="0 * * * *", key="daily")).id == made.id
    assert made.next_at == 1_000_800.0
    await one.start_due()
    assert await place.started() == []
    place.clock.now = 1_000_801.0
    await asyncio.gather(one.start_due(), two.start_due())
    await one.start_due()
    (run,) = await place.started()
    (kept,) = await two.list(ANN)
    assert (kept.last_run, kept.starts, kept.next_at, kept.state) == (run, 1, 1_004_400.0, "active")
    assert (await place.stand.result(run)).output == "written"
    cancelled = await two.cancel(ANN, made.id)
    assert (cancelled.state, cancelled.next_at) == ("cancelled", None)
    place.clock.now = 1_009_000.0
    await one.start_due()
    assert await place.started() == [run]
    with pytest.raises(Conflict):
        await one.cancel(ANN, made.id)
    with pytest.raises(NotFound):
        await one.cancel(OTHER, made.id)
    assert await one.list(OTHER) == []


async def test_died_between_the_start_and_writing_it_down(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await place.started()
    schedules = place.schedules()
    made = await schedules.create(ANN, "reporter", "once", at=place.clock.now - 5)

    async def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place.stand.records, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            await schedules._start(made)
    await place.schedules().start_due()
    assert len(await place.started()) == len(before) + 1
    (kept,) = [one for one in await schedules.list(ANN) if one.id == made.id]
    assert (kept.state, kept.starts) == ("ended", 1)


async def test_key_that_is_gone(place: Place) -> None:
    schedules = place.schedules()
    made = await schedules.create(ANN, "reporter", "x", at=place.clock.now)
    del place.keys.live[ANN.key_id]
    await schedules.start_due()
    place.keys.live[ANN.key_id] = ANN
    (kept,) = [one for one in await schedules.list(ANN) if one.id == made.id]
    assert (kept.state, kept.fault) == ("stopped", "the key was revoked")


@pytest.mark.parametrize(
    ("missed", "skip", "starts", "following"),
    [
        ("once", False, 1, 3600.0),
        ("all", False, 3, 3600.0),
        ("skip", False, 0, 3600.0),
        ("all", True, 0, 3600.0),
        ("once", True, 0, 3600.0),
    ],
)
async def test_paused_and_resumed(place: Place, missed: Any, skip: bool, starts: int, following: float) -> None:
    """Three moments pass in the pause; what becomes of them is said before and done after."""
    schedules = place.schedules()
    place.clock.now += 3600.0 - place.clock.now % 3600.0 + 1.0
    now = place.clock.now
    made = await schedules.create(ANN, "reporter", "x", cron="0 * * * *", missed=missed)
    for _ in range(2):
        paused = await schedules.pause(ANN, made.id)
        assert (paused.state, paused.paused_at, paused.passed) == ("paused", now, 0)
    before = await place.started()
    place.clock.now = now + 3 * 3600.0 + 100.0
    await schedules.start_due()
    assert await place.started() == before
    assert ((await place.one(made.id)).passed, (await place.one(made.id)).starts) == (3, 0)
    with pytest.raises(NotFound):
        await schedules.resume(OTHER, made.id)
    resumed = await schedules.resume(ANN, made.id, skip=skip)
    assert (resumed.state, resumed.paused_at, resumed.passed) == ("active", None, 0)
    with pytest.raises(Conflict):
        await schedules.resume(ANN, made.id)
    await schedules.start_due()
    kept = await place.one(made.id)
    assert (kept.starts, len(await place.started()) - len(before)) == (starts, starts)
    assert kept.next_at == now - 1.0 + 4 * following
    await schedules.cancel(ANN, made.id)
    with pytest.raises(Conflict):
        await schedules.pause(ANN, made.id)


async def test_one_moment_that_passed_in_a_pause(place: Place) -> None:
    schedules = place.schedules()
    for skip, state, starts in ((True, "ended", 0), (False, "active", 1)):
        made = await schedules.create(ANN, "reporter", "x", at=place.clock.now + 10)
        await schedules.pause(ANN, made.id)
        place.clock.now += 1000.0
        assert (await schedules.resume(ANN, made.id, skip=skip)).state == state
        await schedules.start_due()
        assert ((await place.one(made.id)).state, (await place.one(made.id)).starts) == ("ended", starts)


async def test_paused_while_it_is_started(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment is one start, though whoever paused was there before it was written down."""
    schedules, before = place.schedules(), await place.started()
    made = await schedules.create(ANN, "reporter", "x", at=place.clock.now - 5)
    begin = place.runs.begin

    async def slow(*given: Any, **named: Any) -> str:
        await schedules.pause(ANN, made.id)
        return await begin(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(place.runs, "begin", slow)
        await schedules.start_due()
    assert (await place.one(made.id)).state == "paused"
    await schedules.resume(ANN, made.id)
    await schedules.start_due()
    assert (await place.one(made.id)).starts == 1
    assert len(await place.started()) == len(before) + 1


SERVICE = Principal(key_id="service", name="The desk's", organisation="org", home=True)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (None, "the key was revoked"),
        ({"scopes": frozenset({Scope.READ})}, "may not start agents any more"),
        ({"organisation": "elsewhere"}, "belongs to another organisation now"),
        ({"person": "eve"}, "belongs to a person now"),
        ({"home": False}, "may start no agent 'reporter'"),
        ({}, "ada, whom its runs work for, has left"),
    ],
)
async def test_who_asked_has_lost_the_right(place: Place, changed: dict[str, Any] | None, why: str) -> None:
    """It stops, says why, and goes on when that is mended and somebody says so."""
    schedules, before = place.schedules(), await place.started()
    place.keys.live["service"] = SERVICE
    made = await schedules.create(SERVICE, "reporter", "x", at=place.clock.now - 1, person="ada")
    if changed is None:
        del place.keys.live["service"]
    else:
        place.keys.live["service"] = structs.replace(SERVICE, **changed)
    place.left.people = set() if changed != {} else {"ada"}
    await schedules.start_due()
    stopped = await place.one(made.id)
    assert (stopped.state, why in stopped.fault, stopped.passed) == ("stopped", True, 1)
    assert await place.started() == before
    with pytest.raises(Conflict, match="cannot go on"):
        await schedules.resume(ANN, made.id)
    place.keys.live["service"], place.left.people = SERVICE, set()
    assert (await schedules.resume(ANN, made.id)).fault == ""
    await schedules.start_due()
    assert (await place.one(made.id)).starts == 1


async def test_its_runs_are_those_of_who_asked(place: Place) -> None:
    """Labels of the run that asked, and of what it had read, its limits, and who had forked it or one above it."""
    stand = place.stand

    @tool(effect="read", labels=["from_web"])
    async def fetch() -> str:
        return "news"

    planner = Agent("planner", model="up/m", tools=[fetch, *schedule(["reporter"])])
    later = {"agent": "reporter", "task": "news", "at": "1970-01-01T00:00"}
    stand.model = Scripted(planner=[calls(("fetch", {})), calls(("schedule_start", later)), says("planned")], reporter=[says("written")])
    stand.define(planner)
    schedules = place.schedules()
    AT_HAND[asyncio.get_running_loop()] = schedules
    try:
        start = msgspec.to_builtins(Start(input="go", key="key", person="", limits=Limits(usd=0.5, turns=7)))
        run = await stand.journal.start(planner.run, start, organisation="org", labels={"agent": "planner", "team": "t"}, by=("mallory",))
        assert (await stand.result(run)).output == "planned"
    finally:
        AT_HAND.clear()
    (made,) = [one for one in await schedules.list(ANN) if one.input == "news"]
    assert made.limits == Limits(usd=0.5, turns=7)
    assert (made.read, made.asked_by, made.labels) == (("from_web",), ("mallory",), {"agent": "planner", "team": "t"})
    await schedules.start_due()
    begun = (await place.one(made.id)).last_run
    info = await stand.journal.get(None, begun)
    assert info.labels == {"agent": "reporter", "team": "t", "schedule": made.id}
    assert info.forked_by == ("mallory",), "who may not approve what it does"
    given = msgspec.convert(await stand.journal.given(None, begun), Start)
    assert (given.labels, given.limits) == (("from_web",), Limits(usd=0.5, turns=7))
    assert (await stand.result(begun)).labels == ("from_web",)


async def test_erased_with_the_person(place: Place) -> None:
    schedules = place.schedules()
    theirs = await schedules.create(ANN, "reporter", "about Bea", at=place.clock.now + 10, person="bea")
    others = await schedules.create(ANN, "reporter", "x", at=place.clock.now + 10, person="cid")
    assert await schedules.erase("elsewhere", "bea") == 0
    assert await schedules.erase("org", "bea") == 1
    left = {one.id for one in await schedules.list(ANN)}
    assert (theirs.id in left, others.id in left) == (False, True)


async def test_refused(place: Place) -> None:
    schedules = place.schedules()
    for terms in ({}, {"at": 1.0, "cron": "* * * * *"}, {"cron": "x"}, {"cron": "0 0 30 2 *"}, {"at": 1.0, "zone": "Nowhere"}):
        with pytest.raises(RequestError):
            await schedules.create(ANN, "reporter", "x", **terms)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await schedules.create(ANN, "nobody", "x", at=1.0)
    with pytest.raises(NotFound):
        await schedules.create(OTHER, "reporter", "x", at=1.0)


async def test_over_long_ago(place: Place) -> None:
    schedules = place.schedules()
    made = await schedules.create(ANN, "reporter", "x", at=place.clock.now + 100 * 86_400)
    await schedules.cancel(ANN, made.id)
    await schedules.forget()
    assert made.id in {one.id for one in await schedules.list(ANN)}
    place.clock.now += 91 * 86_400
    await schedules.forget()
    assert made.id not in {one.id for one in await schedules.list(ANN)}


async def test_tools(place: Place, tmp_path: Path) -> None:
    tools = schedule(["reporter"], zone="Europe/Berlin")
    context = ToolContext(key="run/call/1", attempt=1, run="run", organisation="org", payer="key")

    async def made(name: str, context: ToolContext = context, **arguments: str) -> str:
        tool = named(tools, name)
        return (await Performing().once(tool, tool.arguments(arguments), context, last=True)).text

    assert "schedule_unavailable" in await made("schedule_list")
    AT_HAND[asyncio.get_running_loop()] = place.schedules()
    try:
        for _ in range(2):
            assert '"next":"2030-03-01T09:00:00+01:00"' in await made("schedule_start", agent="reporter", task="x", at="2030-03-01T09:00")
        listed = (await made("schedule_list")).rpartition("{")[2]
        assert "2030-03-01" in listed
        id = listed.partition('"id":"')[2].partition('"')[0]
        for stranger in ({"person": "eve"}, {"payer": "root", "organisation": "elsewhere"}):
            other = structs.replace(context, **stranger)
            assert id not in await made("schedule_list", other)
            assert "schedule_forbidden" in await made("schedule_cancel", other, id=id)
        for state in ("paused", "active", "cancelled"):
            for _ in range(2):  # again, as after a crash
                name = {"paused": "pause", "active": "resume", "cancelled": "cancel"}[state]
                assert f'"state":"{state}"' in await made(f"schedule_{name}", id=id)
        for _ in range(2):
            assert '"state":"cancelled"' in await made("schedule_cancel", id=id)
        assert id not in await made("schedule_list")
        assert "schedule_forbidden" in await made("schedule_start", agent="other", task="x", at="2030-03-01T09:00")
        assert "schedule_forbidden" in await made("schedule_cancel", id="nothing")
        assert "schedule_refused" in await made("schedule_start", agent="reporter", task="x", at="tomorrow")
    finally:
        AT_HAND.clear()
