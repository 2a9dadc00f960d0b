"""Webhooks of tasks: what one process has not told, the next one tells, under the same ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from tests.interop.conftest import Stand

from penstock.interop.a2a.pushing import Pushing
from penstock.interop.a2a.store import A2aStore, Kept, made
from penstock.interop.a2a.words import A2aFault, PushConfig
from penstock.kernel.ports import Authenticator, Holders
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


class Hook:
    """A client's URL, which takes nothing until it is ``up``, and nothing at all where it is ``gone``."""

    def __init__(self) -> None:
        self.up = True
        self.gone = False
        self.asked = 0
        self.took: list[str] = []
        self.states: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.gone or not self.up:
            return web.Response(status=410 if self.gone else 503)
        self.took.append(request.headers["webhook-id"])
        told = msgspec.json.decode(await request.read())
        self.states.append(told.get("statusUpdate", {}).get("status", {}).get("state", "artifact"))
        return web.Response()


@pytest_asyncio.fixture(loop_scope="module")
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    app = web.Application()
    app.router.add_post("/", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


class Case:
    """The parts of the house that webhooks stand on, and a run in it that has ended."""

    def __init__(self, stand: Stand) -> None:
        ports = stand.house.app.ports
        self.stand = stand
        self.records = ports.get(Records)
        self.holders = ports.get(Holders)
        self.principal = ports.get(Authenticator).authenticate(stand.house.admin)

    def pushing(self, *hosts: str) -> Pushing:
        return Pushing(self.records, lambda: self.stand.runs, lambda: self.holders, hosts or ("127.0.0.1",))

    async def task(self, text: str) -> Kept:
        run = await self.stand.runs.begin(self.principal, "desk", text)
        while self.stand.runs.runs[run].ended is None:
            await asyncio.sleep(0)
        message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}
        return await A2aStore(self.records).add(made(run, self.principal.organisation, "desk", "c", message))


async def test_the_next_process_goes_on(stand: Stand, hook: Hook) -> None:
    case = Case(stand)
    kept = await case.task("hello push")
    hook.up = False
    first = case.pushing()
    await first.add(case.principal, kept, PushConfig(url=hook.url, id="p"))
    while not hook.asked:
        await asyncio.sleep(0.01)
    await first.stop()
    hook.up = True
    second = case.pushing()
    await second.start()
    while len(hook.took) < 3:
        await asyncio.sleep(0.01)
    assert hook.states == ["TASK_STATE_WORKING", "artifact", "TASK_STATE_COMPLETED"]
    assert hook.took == [f"{kept.run}-p-{number}" for number in ("2-0", "3-0", "3-1")]
    while await case.records.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM a2a_pushes WHERE over = 0").scalar()):
        await asyncio.sleep(0.01)
    await second.stop()
    third = case.pushing()
    await third.start()  # there is nothing left to tell
    await third.stop()
    assert len(hook.took) == 3


async def test_a_url_that_is_gone_is_counted_and_left_alone(stand: Stand, hook: Hook) -> None:
    case = Case(stand)
    hook.gone = True
    pushing = case.pushing()
    await pushing.add(case.principal, await case.task("hello gone"), PushConfig(url=hook.url))
    while pushing.failed < 2:  # of the two events of such a run
        await asyncio.sleep(0.01)
    (metric,) = pushing.metrics()
    assert metric.samples == (({}, 2.0),)
    assert hook.asked == 2
    await pushing.stop()


async def test_nobody_is_told_where_no_host_may_be(stand: Stand, hook: Hook) -> None:
    case = Case(stand)
    kept = await case.task("hello none")
    pushing = Pushing(case.records, lambda: stand.runs, lambda: case.holders, ())
    with pytest.raises(A2aFault, match="push_hosts is empty"):
        await pushing.add(case.principal, kept, PushConfig(url=hook.url))
    many = case.pushing()
    for number in range(10):
        await many.add(case.principal, kept, PushConfig(url=hook.url, id=str(number)))
    with pytest.raises(A2aFault, match="at most 10"):
        await many.add(case.principal, kept, PushConfig(url=hook.url, id="one more"))
    await many.stop()
    assert len(await many.list(kept.run)) == 10
