"""Webhooks of tasks: what one process has not told, the next one tells, under the same ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from msgspec import structs
from sqlalchemy import insert, select
from tests.interop.conftest import Stand

from penstock.interop.a2a.pushing import Pushing
from penstock.interop.a2a.store import A2aStore, Kept, made
from penstock.interop.a2a.words import A2aFault, PushConfig
from penstock.interop.tables import PUSHES
from penstock.kernel.ports import Authenticator, Holders
from penstock.storage.records import Records
from penstock.storage.sealing import Sealing

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


class Hook:
    """A client's URL, which takes nothing until it is ``up``, and nothing at all where it is ``gone``."""

    def __init__(self) -> None:
        self.up = True
        self.gone = False
        self.asked = 0
        self.took: list[str] = []
        self.tokens: set[str] = set()
        self.states: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.gone or not self.up:
            return web.Response(status=410 if self.gone else 503)
        self.took.append(request.headers["webhook-id"])
        self.tokens |= {request.headers.get(name, "") for name in ("x-a2a-notification-token", "authorization")}
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
        return self.sealed(Sealing(lambda: [b"a secret of this installation"], "a2a pushes"), *hosts)

    def sealed(self, sealing: Sealing, *hosts: str) -> Pushing:
        return Pushing(self.records, lambda: self.stand.runs, lambda: self.holders, hosts or ("127.0.0.1",), sealing)

    async def rows(self, run: str) -> list[dict[str, Any]]:
        asked = select(PUSHES).where(PUSHES.c.run == run)
        return [dict(row) for row in await self.records.read(lambda c: c.execute(asked).mappings().all())]

    async def over(self, run: str) -> dict[str, Any]:
        while True:
            (row,) = await self.rows(run)
            if row["over"]:
                return row
            await asyncio.sleep(0.01)

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
    pushing = Pushing(case.records, lambda: stand.runs, lambda: case.holders, (), Sealing(lambda: [b"m" * 32], "a2a pushes"))
    with pytest.raises(A2aFault, match="push_hosts is empty"):
        await pushing.add(case.principal, kept, PushConfig(url=hook.url))
    many = case.pushing()
    for number in range(10):
        await many.add(case.principal, kept, PushConfig(url=hook.url, id=str(number)))
    with pytest.raises(A2aFault, match="at most 10"):
        await many.add(case.principal, kept, PushConfig(url=hook.url, id="one more"))
    await many.stop()
    assert len(await many.list(kept.run)) == 10


SECRET = PushConfig(token="tok-1234", authentication={"scheme": "Bearer", "credentials": "cred-5678"})


async def test_tokens_are_kept_sealed_and_only_while_they_are_needed(stand: Stand, hook: Hook) -> None:
    case = Case(stand)
    kept = await case.task("hello sealed")
    hook.up = False
    first = case.pushing()
    shown = await first.add(case.principal, kept, structs.replace(SECRET, url=hook.url, id="s"))
    assert shown == {"id": "s", "taskId": kept.run, "url": hook.url, "authentication": {"scheme": "Bearer"}}
    (row,) = await case.rows(kept.run)
    assert row["sealed"]
    assert not any(secret in str(row) for secret in ("tok-1234", "cred-5678"))
    while not hook.asked:
        await asyncio.sleep(0.01)
    await first.stop()
    hook.up = True
    strange = case.sealed(Sealing(lambda: [b"of another installation"], "a2a pushes"))
    await strange.start()
    while (kept.run, "s") in strange._telling:
        await asyncio.sleep(0.01)
    await strange.stop()
    assert (hook.took, (await case.rows(kept.run))[0]["over"]) == ([], False), "who cannot open it tells nobody, and leaves it to others"
    second = case.pushing()
    await second.start()
    assert (await case.over(kept.run))["sealed"] is None
    assert (await second.list(kept.run)) == [shown]
    await second.stop()
    assert hook.tokens == {"tok-1234", "Bearer cred-5678"}


async def test_what_was_kept_as_it_came_is_sealed(stand: Stand, hook: Hook) -> None:
    case = Case(stand)
    kept = await case.task("hello old")
    config = msgspec.to_builtins(structs.replace(SECRET, url=hook.url, id="o", task_id=kept.run))
    row = {"run": kept.run, "id": "o", "key": case.principal.key_id, "config": msgspec.json.encode(config).decode()}
    over = {**row, "id": "over", "over": True}
    for one in (row, over):
        values = {"told": 0, "over": False, "created_at": 0.0, **one}
        await case.records.write(lambda c, values=values: c.execute(insert(PUSHES).values(values)))
    pushing = case.pushing()
    hook.up = False
    await pushing.start()
    told = {one["id"]: one for one in await case.rows(kept.run)}
    assert not any("tok-1234" in str(one) or "cred-5678" in str(one) for one in told.values())
    assert (told["over"]["sealed"], bool(told["o"]["sealed"])) == (None, True)
    hook.up = True
    while not hook.took:
        await asyncio.sleep(0.01)
    await pushing.stop()
    assert hook.tokens == {"tok-1234", "Bearer cred-5678"}


@pytest.mark.parametrize("gone", ["erased", "dropped elsewhere"])
async def test_who_is_gone_is_told_no_more(stand: Stand, hook: Hook, gone: str) -> None:
    """Also by a process that is in the middle of telling."""
    case = Case(stand)
    kept = await case.task(f"hello {gone}")
    hook.up = False
    pushing = case.pushing()
    person = structs.replace(case.principal, person="ann")
    await pushing.add(person, kept, PushConfig(url=hook.url, id="g"))
    while not hook.asked:
        await asyncio.sleep(0.01)
    if gone == "erased":  # who had it told, of a task that is not theirs
        assert await A2aStore(case.records).erase(kept.organisation, "ann") == 1
        assert (await A2aStore(case.records).get(None, "desk", kept.run)).run == kept.run
    else:
        await case.pushing().drop(kept.run, "g")
    hook.up = True
    while pushing._telling:
        await asyncio.sleep(0.01)
    assert len(hook.took) == 1, "what was on its way, and nothing after it"
    await pushing.stop()
