"""Schedules: each moment is one start, whoever sees it and whenever they die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs
from tests.agents.scripted import Scripted, Stand, says
from tests.agents.toolbox.calling import named

from penstock.agents.definition import Agent
from penstock.agents.performing import Performing
from penstock.agents.runs import Runs
from penstock.agents.scheduling.schedules import AT_HAND, Schedules
from penstock.agents.service import QUEUE
from penstock.agents.toolbox import schedule
from penstock.agents.tools import ToolContext
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


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Place:
    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.keys = Keys()
        self.clock = Clock()
        self.runs = Runs(stand.agents, lambda: stand.journal)

    def schedules(self) -> Schedules:
        """As each of several processes has them."""
        return Schedules(self.stand.records, lambda: self.runs, lambda: self.keys, self.clock)

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
        for _ in range(2):  # again, as after a crash
            assert '"state":"cancelled"' in await made("schedule_cancel", id=id)
        assert id not in await made("schedule_list")
        assert "schedule_forbidden" in await made("schedule_start", agent="other", task="x", at="2030-03-01T09:00")
        assert "schedule_forbidden" in await made("schedule_cancel", id="nothing")
        assert "schedule_refused" in await made("schedule_start", agent="reporter", task="x", at="tomorrow")
    finally:
        AT_HAND.clear()
