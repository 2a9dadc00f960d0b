"""Alerts from readings to messages, in a whole house."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.alerts.rig import alarmed, receiving
from tests.alerts.series import NOW, steps
from tests.alerts.test_pages import signed_in
from tests.observability.health.conftest import call

from penstock.alerts import store
from penstock.kernel.errors import StorageError
from penstock.kernel.measures import Example
from penstock.storage.telemetry.store import TelemetryStore

pytestmark = pytest.mark.timeout(60)

SLOW = """
[alerts.rules."slow"]
measure = "toy_latency_ms"
by = "task"
severity = "page"
note = "restart it"
[alerts.rules."slow".threshold]
above = 2000
"""


def route(url: str) -> str:
    return f'[alerts.routes.ops]\nkind = "webhook"\nurl = "{url}"\n'


async def test_an_alert_fires_once_by_group_and_ends(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, SLOW + route(receiver.url)) as one:
        one.at(NOW)
        one.source.shown = [Example(id="call_1", href="/console/calls/call_1", at=NOW - 60, value=2500, why="took 2.5 s")]
        one.source.put("toy_latency_ms", [*steps([2500] * 5, group="a"), *steps([100] * 5, group="b")])
        await one.round()
        await one.round()
        ((headers, body),) = receiver.got
        assert body["type"] == "penstock.alert.fired"
        data = body["data"]
        assert (data["rule"], data["by"], data["group"], data["value"], data["limit"]) == ("slow", "task", "a", 2500, 2000)
        assert data["examples"][0]["href"].endswith("/console/calls/call_1")
        assert data["note"] == "restart it"
        assert "task=a" in data["health"]
        assert headers["webhook-id"] == headers["idempotency-key"]
        (alert,) = await one.open()
        assert (alert["group"], alert["severity"], alert["told"]) == ("a", "page", 1)

        one.at(NOW + 3600)
        one.source.put("toy_latency_ms", steps([100] * 5, group="a", until=NOW + 3600))
        await one.round()
        await one.round()
        assert receiver.types() == ["penstock.alert.fired", "penstock.alert.resolved"]
        assert await one.open() == []
        again = (await one.house.ask("GET", f"/v1/alerts/{alert['id']}")).json
        assert (again["alert"]["state"], again["alert"]["ended"]) == ("resolved", "it is good again")


async def test_a_silence_keeps_quiet_and_its_end_tells(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, SLOW + route(receiver.url)) as one:
        one.at(NOW)
        body = {"match": {"rule": "sl*", "group": "a"}, "until": NOW + 7200, "why": "we know", "everywhere": True}
        silence = await one.house.made("/v1/alerts/silences", body)
        one.source.put("toy_latency_ms", steps([2500] * 5, group="a"))
        await one.round()
        (alert,) = await one.open()
        assert receiver.got == []
        assert alert["quiet"].endswith("we know")
        assert (await one.house.ask("DELETE", f"/v1/alerts/silences/{silence['id']}")).status == 204
        await one.round()
        assert receiver.types() == ["penstock.alert.fired"]


async def test_snoozed_acknowledged_and_reminded(tmp_path: Path) -> None:
    rule = SLOW.replace('severity = "page"', 'severity = "page"\nrepeat_hours = 1')
    async with receiving() as receiver, alarmed(tmp_path, rule + route(receiver.url)) as one:
        one.at(NOW)
        one.source.put("toy_latency_ms", steps([2500] * 600, group="a", until=NOW + 8 * 3600))
        await one.round()
        (alert,) = await one.open()
        path = f"/v1/alerts/{alert['id']}"
        snoozed = await one.house.ask("POST", path, {"what": "snooze", "until": NOW + 7200})
        assert snoozed.json["snoozed_until"] == NOW + 7200
        one.at(NOW + 3700)
        await one.round()
        assert len(receiver.got) == 1
        one.at(NOW + 7300)
        await one.round()
        assert receiver.types()[1:] == ["penstock.alert.reminded"]
        one.at(NOW + 7300 + 3700)
        await one.round()
        assert len(receiver.got) == 3
        assert (await one.house.ask("POST", path, {"what": "acknowledge"})).json["acknowledged_at"] == NOW + 7300 + 3700
        one.at(NOW + 7 * 3600)
        await one.round()
        assert len(receiver.got) == 3
        assert (await one.house.ask("POST", path, {"what": "snooze"})).status == 400


async def test_a_wider_rule_keeps_the_narrower_ones_quiet(tmp_path: Path) -> None:
    wide = '[alerts.rules.down]\nmeasure = "toy_error_rate"\n[alerts.rules.down.threshold]\nabove = 0.5\n'
    narrow = SLOW.replace('severity = "page"', 'severity = "page"\nunless = ["down"]')
    async with receiving() as receiver, alarmed(tmp_path, wide + narrow + route(receiver.url)) as one:
        one.at(NOW)
        one.source.put("toy_error_rate", steps([0.9] * 5))
        one.source.put("toy_latency_ms", steps([2500] * 5, group="a"))
        await one.round()
        assert [body["data"]["rule"] for _, body in receiver.got] == ["down"]
        assert {alert["rule"]: alert["quiet"] for alert in await one.open()} == {"down": "", "slow": "'down' has fired"}


async def test_a_rule_that_cannot_be_looked_at_keeps_no_other_from_it(tmp_path: Path) -> None:
    unknown = '[alerts.rules.aaa]\nmeasure = "nothing_such"\n[alerts.rules.aaa.threshold]\nabove = 1\n'
    async with receiving() as receiver, alarmed(tmp_path, unknown + SLOW + route(receiver.url)) as one:
        one.at(NOW)
        one.source.put("toy_latency_ms", steps([2500] * 5, group="a"))
        await one.round()
        assert len(receiver.got) == 1
        assert one.life.watching.faults["not_found"] >= 1
        names = {view["rule"]["name"]: view["fault"] for view in (await one.house.ask("GET", "/v1/alerts/rules")).json["data"]}
        assert "nothing_such" in names["aaa"]
        assert names["slow"] == ""
        found = [finding for finding in await one.life.check() if finding.status == "fail"]
        assert [finding.name for finding in found] == ["rule aaa"]
        one.source.fault = StorageError("the store is gone")
        await one.round()
        assert one.life.watching.faults["storage_unavailable"] == 1
        one.source.fault = ZeroDivisionError("a fault of a source's own")
        await one.round()
        assert one.life.watching.faults["internal_error"] == 1
        metrics = {metric.name: metric.samples for metric in one.life.watching.metrics()}
        assert ({"severity": "page"}, 1.0) in metrics["penstock_alerts_open"]


async def test_an_objective_pages_with_what_is_left(tmp_path: Path) -> None:
    rule = '[alerts.rules.slo]\nmeasure = "toy_error_rate"\n[alerts.rules.slo.objective]\ntarget = 0.999\n'
    async with receiving() as receiver, alarmed(tmp_path, rule + route(receiver.url)) as one:
        one.at(NOW)
        one.source.put("toy_error_rate", steps([0.0] * 850 + [0.05] * 14, step=300, count=100))
        await one.round()
        ((_, body),) = receiver.got
        assert body["data"]["severity"] == "page"
        assert body["data"]["budget_left"] is not None
        assert "error budget" in body["data"]["text"]


async def test_a_rule_that_is_removed_ends_its_alerts(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, route(receiver.url)) as one:
        one.at(NOW)
        terms: dict[str, Any] = {"measure": "toy_latency_ms", "threshold": {"above": 2000}}
        made = await one.house.made("/v1/alerts/rules", {"name": "mine", "terms": terms})
        one.source.put("toy_latency_ms", steps([2500] * 5))
        await one.round()
        assert (await one.house.ask("DELETE", f"/v1/alerts/rules/{made['rule']['id']}")).status == 204
        await one.round()
        assert receiver.types() == ["penstock.alert.fired", "penstock.alert.resolved"]
        assert await one.open() == []


async def test_who_has_lost_the_lease_writes_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, SLOW + route(receiver.url)) as one:
        one.at(NOW)
        one.source.put("toy_latency_ms", steps([2500] * 5, group="a"))
        await one.life.watching.lead()
        await one.house.app.store.write(lambda c: store.LEAD.leave(c, one.life.watching.__dict__["_holder"]))
        assert await one.house.app.store.write(lambda c: store.LEAD.take(c, "another", 60))
        await one.life.watching.look()
        assert not one.life.watching.leads
        assert await one.open() == []
        await one.life.watching.lead()
        assert not one.life.watching.leads
        assert receiver.got == []


async def test_alerts_are_marks_on_the_axis_of_time(tmp_path: Path) -> None:
    async with alarmed(tmp_path, SLOW) as one:
        one.at(NOW)
        one.source.put("toy_latency_ms", steps([2500] * 5, group="a"))
        await one.round()
        (mark,) = await one.life.alerting.marks(None, NOW - 3600, NOW + 3600)
        assert (mark.kind, mark.title, mark.task, mark.until) == ("alert", "slow/a", "a", None)
        assert await one.life.alerting.marks("org_else", NOW - 3600, NOW + 3600) == []
        assert await one.life.alerting.marks(None, NOW + 600, NOW + 3600) != []


async def test_failed_calls_of_the_store_of_spans_open_an_alert_that_names_them(tmp_path: Path) -> None:
    rule = '[alerts.rules.down]\nmeasure = "error_rate"\nby = "task"\nthreshold = { above = 0.5, at_least = 10 }\n'
    async with receiving() as receiver, alarmed(tmp_path, rule + route(receiver.url)) as one:
        now = time.time() // 60 * 60 + 5
        one.at(now)
        home = await one.house.home()
        spans = [
            call(
                now - 5 - 20 * n,
                300,
                organisation=home,
                task="faq",
                status="failed" if n % 4 else "ok",
                error_code="timeout" if n % 4 else "",
            )
            for n in range(1, 40)
        ]
        store_of_spans = one.house.app.ports.get(TelemetryStore)
        await store_of_spans.append(spans, "batch")
        await store_of_spans.flush()
        await one.round()
        ((_, body),) = receiver.got
        data = body["data"]
        assert (data["measure"], data["group"], data["count"]) == ("error_rate", "faq", 15)
        assert 0.5 < data["value"] <= 1
        assert data["examples"]
        assert all(example["href"] for example in data["examples"])
        # The links lead somewhere: to the Health page at that time, narrowed to the task.
        browser = await signed_in(one.house, one.house.admin)
        page = await one.house.ask("GET", data["health"], key="", **browser)
        assert page.status == 200, page.text
        assert 'value="faq"' in page.text
