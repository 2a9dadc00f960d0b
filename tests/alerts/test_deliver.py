"""From the outbox to receivers: order, retries, giving up, dying in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.alerts.rig import Alarmed, alarmed, receiving
from tests.alerts.series import NOW, steps

from penstock.alerts import outbox
from penstock.alerts.model import Delivery
from penstock.storage.records import Records

pytestmark = pytest.mark.timeout(60)

RULE = '[alerts.rules.slow]\nmeasure = "toy_latency_ms"\n[alerts.rules.slow.threshold]\nabove = 2000\n'


def route(url: str, name: str = "ops", more: str = "") -> str:
    return f'[alerts.routes.{name}]\nkind = "webhook"\nurl = "{url}"\n{more}'


async def fired(one: Alarmed) -> None:
    one.at(NOW)
    one.source.put("toy_latency_ms", steps([2500] * 5))
    await one.life.watching.lead()
    await one.life.watching.look()


async def standing(one: Alarmed) -> list[tuple[str, int, str]]:
    found = (await one.house.ask("GET", "/v1/alerts/deliveries")).json["data"]
    return [(each["state"], each["attempts"], each["fault"]) for each in found]


async def test_a_failure_is_tried_again_under_the_same_id_and_in_order(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, RULE + route(receiver.url)) as one:
        receiver.answer = lambda: 503
        await fired(one)
        await one.life.watching.deliver()
        assert await standing(one) == [("waiting", 1, "it answered 503")]
        one.at(NOW + 3000)
        one.source.put("toy_latency_ms", steps([100] * 5, until=NOW + 3000))
        await one.life.watching.look()  # the end goes into the outbox, behind the beginning
        await one.life.watching.deliver()
        receiver.answer = lambda: 200
        one.at(NOW + 3100)
        await one.life.watching.deliver()
        assert receiver.types() == ["penstock.alert.fired", "penstock.alert.resolved"]
        ids = [headers["webhook-id"] for headers, _ in receiver.got]
        assert ids == sorted(ids)
        assert [state for state, _, _ in await standing(one)] == ["delivered", "delivered"]


async def test_a_failing_place_keeps_no_other_waiting(tmp_path: Path) -> None:
    more = route("http://127.0.0.1:9/", "down")
    async with receiving() as receiver, alarmed(tmp_path, RULE + route(receiver.url) + more) as one:
        await fired(one)
        await one.life.watching.deliver()
        assert len(receiver.got) == 1
        assert sorted(state for state, _, _ in await standing(one)) == ["delivered", "waiting"]
        counts = one.life.delivering.counts
        assert counts == {("route:ops", "delivered"): 1, ("route:down", "retried"): 1}


async def test_after_long_it_is_given_up_and_said_and_can_be_tried_again(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, RULE + route(receiver.url)) as one:
        receiver.answer = lambda: 500
        await fired(one)
        await one.life.watching.deliver()
        one.at(NOW + 25 * 3600)
        await one.life.watching.deliver()
        ((state, attempts, fault),) = await standing(one)
        assert (state, attempts, fault) == ("failed", 2, "it answered 500")
        assert any(finding.name == "route:ops" and finding.status == "warn" for finding in await one.life.check())
        receiver.answer = lambda: 200
        (given_up,) = (await one.house.ask("GET", "/v1/alerts/deliveries?state=failed")).json["data"]
        path = f"/v1/alerts/deliveries/{given_up['id']}/again"
        assert (await one.house.ask("POST", path)).status == 204
        await one.life.watching.deliver()
        assert len(receiver.got) == 1
        assert (await one.house.ask("POST", path)).status == 409


async def test_what_a_dead_process_was_sending_is_sent_again_under_the_same_id(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, RULE + route(receiver.url)) as one:
        await fired(one)
        receiver.hold = asyncio.Event()
        sending = asyncio.create_task(one.life.watching.deliver())
        records = one.house.app.store
        while not (await records.read(lambda c: outbox.listed(c, None, state="sending"))):
            await asyncio.sleep(0.01)
        sending.cancel()  # as the end of the process does
        await asyncio.wait([sending])
        assert await records.read(lambda c: outbox.due(c, NOW + 10_000)) == []
        receiver.hold.set()
        one.life.delivering.__dict__["_mine"] = False  # the next process
        await one.life.watching.lead()
        await one.life.watching.deliver()
        assert {headers["webhook-id"] for headers, _ in receiver.got} == {
            each["id"] for each in (await one.house.ask("GET", "/v1/alerts/deliveries")).json["data"]
        }
        assert [state for state, _, _ in await standing(one)] == ["delivered"]


async def test_a_subscriber_that_is_gone_is_switched_off(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, RULE) as one:
        receiver.answer = lambda: 410
        made = await one.house.made("/v1/webhooks", {"url": receiver.url, "events": ["penstock.alert.*"], "everywhere": True})
        await fired(one)
        await one.life.watching.deliver()
        hook = (await one.house.ask("GET", f"/v1/webhooks/{made['webhook']['id']}")).json
        assert (hook["enabled"], "410" in hook["why_off"]) == (False, True)
        assert [state for state, _, _ in await standing(one)] == ["failed"]


def test_waits_double_up_to_an_hour() -> None:
    assert [outbox.wait(n, 5, 0) for n in (1, 2, 3, 20, 200)] == [5, 10, 20, 3600, 3600]
    assert outbox.wait(1, 5, 1) == 4


async def test_a_slow_place_keeps_neither_the_others_nor_the_rounds_waiting(tmp_path: Path) -> None:
    async with receiving() as slow, receiving() as receiver:
        slow.hold = asyncio.Event()
        async with alarmed(tmp_path, RULE + route(receiver.url) + route(slow.url, "slow")) as one:
            await fired(one)
            await one.life.delivering.round(0.5)
            assert sorted(state for state, _, _ in await standing(one)) == ["delivered", "sending"]
            await one.life.delivering.round(0.1)  # it is not sent again beside itself
            assert sum(slow.seen.values()) == 1
            slow.hold.set()
            await one.life.watching.deliver()
            assert [state for state, _, _ in await standing(one)] == ["delivered", "delivered"]
            assert sum(slow.seen.values()) == 1


async def test_a_place_with_many_messages_takes_its_turn(tmp_path: Path) -> None:
    async with alarmed(tmp_path) as one:
        records = one.house.app.ports.get(Records)

        def work(connection: Connection) -> list[str]:
            for number in range(100):
                outbox.add(connection, message("route:many", number))
            outbox.add(connection, message("route:few", 0))
            return [found.route for found in outbox.due(connection, NOW)]

        due = await records.write(work)
        assert (due.count("route:many"), due.count("route:few")) == (outbox.TURN, 1)
        assert {found.route for found in await records.read(lambda c: outbox.due(c, NOW, without=["route:many"]))} == {"route:few"}


def message(route: str, number: int) -> Delivery:
    return Delivery(
        id=f"{route}.{number}", organisation="", route=route, kind="k", subject=f"s{number}", alert="", event=b"{}", state="waiting",
        created_at=NOW, next_at=NOW,
    )  # fmt: skip
