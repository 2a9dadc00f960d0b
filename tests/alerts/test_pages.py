"""The pages of the alerts: what they show, what their forms do, and for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from tests.alerts.rig import Alarmed, alarmed
from tests.alerts.series import NOW, steps

from penstock.kernel.measures import Example

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

SETTINGS = """
[alerts.rules.slow]
measure = "toy_latency_ms"
by = "task"
severity = "page"
threshold = { above = 2000 }
[alerts.rules.slo]
measure = "toy_error_rate"
objective = { target = 0.999 }
[alerts.routes.down]
kind = "webhook"
url = "http://127.0.0.1:9/geheim"
"""


async def signed_in(house: Any, key: str) -> dict[str, str]:
    form = {"content_type": "application/x-www-form-urlencoded", "origin": house.url, "sec_fetch_site": "same-origin"}
    answer = await house.ask("POST", "/console/sign-in", f"key={key}", key="", **form)
    return {**form, "cookie": answer.headers["set-cookie"].split(";")[0]}


class Browser:
    """Pages as one person sees them."""

    def __init__(self, one: Alarmed, headers: dict[str, str]) -> None:
        self.one = one
        self._headers = headers

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.one.house.ask("GET", path, key="", **self._headers)
        assert answer.status == status, answer.text
        return answer.text

    async def post(self, path: str, status: int = 303, **fields: Any) -> str:
        answer = await self.one.house.ask("POST", path, urlencode(fields), key="", **self._headers)
        assert answer.status == status, answer.text
        return answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with alarmed(tmp_path_factory.mktemp("pages"), SETTINGS) as one:
        one.at(NOW)
        one.source.shown = [Example(id="call_1", href="/console/calls/call_1", at=NOW - 60, value=2500, why="<b>slow</b>")]
        one.source.put("toy_latency_ms", steps([100] * 200 + [2500] * 10, group="<i>a</i>"))
        one.source.put("toy_error_rate", steps([0.0] * 850 + [0.05] * 14, step=300, count=100))
        await one.round()
        yield Browser(one, await signed_in(one.house, one.house.admin))


async def test_open_alerts_are_listed_and_lead_to_their_own_page(browser: Browser) -> None:
    page = await browser.get("/console/alerts")
    assert "slow · &lt;i&gt;a" in page
    assert "<i>a" not in page
    assert "times" in page
    alert = next(one for one in await browser.one.open() if one["rule"] == "slow")
    page = await browser.get(f"/console/alerts/{alert['id']}")
    for words in ("2.5 s", "/console/calls/call_1", "&lt;b&gt;slow", "data-chart", "/console/health?since=", "route:down"):
        assert words in page, words
    assert "geheim" not in page
    assert "Nothing here" in await browser.get("/console/alerts?state=resolved")
    await browser.get("/console/alerts?state=odd", 400)
    await browser.get("/console/alerts/alert_none", 404)


async def test_acknowledged_snoozed_and_awake(browser: Browser) -> None:
    alert = next(one for one in await browser.one.open() if one["rule"] == "slo")
    path = f"/console/alerts/{alert['id']}"
    page = await browser.get(path)
    assert "Error budget left" in page
    await browser.post(path, what="acknowledge")
    assert "acknowledged" in await browser.get("/console/alerts")
    await browser.post(path, what="snooze", hours="4")
    assert "Nobody is told: snoozed by" in await browser.get(path)
    await browser.post(path, what="wake")
    assert "Nobody is told: snoozed by" not in await browser.get(path)
    await browser.post(path, 400, what="snooze", hours="900")


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (
            {"kind": "threshold", "way": "above", "limit": "2000", "for_minutes": "5", "step_seconds": "60"},
            {"threshold": {"above": 2000.0}},
        ),
        (
            {"kind": "threshold", "way": "below", "limit": "1,5", "for_minutes": "5", "step_seconds": "60", "where": "task = a, b"},
            {"threshold": {"below": 1.5}, "where": {"task": ["a", "b"]}},
        ),
        (
            {"kind": "objective", "target": "0.99", "objective_limit": "2000", "period_days": "28", "by": "task"},
            {"objective": {"target": 0.99, "limit": 2000.0, "period_days": 28}, "by": "task"},
        ),
        (
            {"kind": "detector", "look_for": "spike", "sensitivity": "low", "both": "on", "routes": "down", "severity": "info"},
            {"detector": {"kind": "spike", "sensitivity": "low", "direction": "both"}, "severity": "info", "routes": ["down"]},
        ),
    ],
)
async def test_a_rule_is_made_changed_and_removed_by_its_form(browser: Browser, fields: dict[str, Any], kept: Any) -> None:
    name = f"{fields['kind']} {fields.get('way', '')} one"
    await browser.get(f"/console/alerts/rules/new?kind={fields['kind']}")
    await browser.post("/console/alerts/rules/new", name=name, measure="toy_latency_ms", enabled="on", **fields)
    found = (await browser.one.house.ask("GET", "/v1/alerts/rules")).json["data"]
    rule = next(view["rule"] for view in found if view["rule"]["name"] == name.replace("  ", " "))
    for key, value in kept.items():
        got = rule["terms"][key]
        assert (got | value if isinstance(value, dict) and key != "where" else value) == got
    path = f"/console/alerts/rules/{rule['id']}"
    page = await browser.get(path)
    assert name.replace("  ", " ") in page
    for other in ("threshold", "objective", "detector"):
        await browser.get(f"{path}?kind={other}")
    # The form as it stands says the same again.
    await browser.post(path, name="again", measure="toy_latency_ms", enabled="on", note="why", **fields)
    again = (await browser.one.house.ask("GET", f"/v1/alerts/rules/{rule['id']}")).json["rule"]
    assert (again["name"], again["terms"] | {"note": ""}) == ("again", rule["terms"] | {"note": ""})
    await browser.post(f"{path}/remove")
    await browser.get(path, 404)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limit": ""}, "give a number"),
        ({"limit": "much"}, "is no number"),
        ({"limit": "1", "where": "task"}, "dimension = value"),
        ({"limit": "1", "measure": "none_such"}, "There is no measure"),
        ({"limit": "1", "for_minutes": "0.01"}, "10"),
        ({"limit": "1", "name": ""}, "1 to 120 characters"),
        ({"limit": "1e99"}, "out of all bounds"),
        ({"limit": "1", "severity": "loud"}, "severity"),
    ],
)
async def test_what_is_wrong_is_said_and_what_was_typed_stays(browser: Browser, fields: dict[str, Any], words: str) -> None:
    form = {"kind": "threshold", "name": "typed", "measure": "toy_latency_ms", "note": "I typed this", **fields}
    page = await browser.post("/console/alerts/rules/new", 404 if "measure" in fields else 400, **form)
    assert words in page
    assert "I typed this" in page


async def test_rules_of_the_settings_are_to_be_looked_at(browser: Browser) -> None:
    page = await browser.get("/console/alerts/rules")
    assert "objective 0.999" in page
    page = await browser.get("/console/alerts/rules/settings:slow")
    assert "penstock.toml" in page
    assert "<fieldset" in page
    assert "disabled" in page
    await browser.post("/console/alerts/rules/settings:slow", 409, name="slow", measure="toy_latency_ms", kind="threshold", limit="1")


async def test_silences_are_made_and_ended(browser: Browser) -> None:
    page = await browser.get("/console/alerts/silences?rule=slow&group=a")
    assert 'value="slow"' in page
    refused = await browser.post("/console/alerts/silences", 400, rule="slow", hours="4", why="")
    assert "say why" in refused
    await browser.post("/console/alerts/silences", rule="quiet*", hours="4", why="<b>moving</b>", everywhere="on")
    page = await browser.get("/console/alerts/silences")
    assert "&lt;b&gt;moving" in page
    (silence,) = (await browser.one.house.ask("GET", "/v1/alerts/silences")).json["data"]
    await browser.post(f"/console/alerts/silences/{silence['id']}/end")
    assert "ended" in await browser.get("/console/alerts/silences")


async def test_deliveries_and_webhooks(browser: Browser) -> None:
    page = await browser.get("/console/alerts/deliveries")
    assert "cannot be reached" in page
    assert "geheim" not in page
    await browser.get("/console/alerts/deliveries?state=failed")
    made = await browser.post(
        "/console/alerts/webhooks", 200, url="http://127.0.0.1:9/geheim", events="penstock.alert.*, penstock.run.failed"
    )
    assert "whsec_" in made
    page = await browser.get("/console/alerts/webhooks")
    assert "whsec_" not in page
    assert "geheim" not in page
    (hook,) = (await browser.one.house.ask("GET", "/v1/webhooks")).json["data"]
    path = f"/console/alerts/webhooks/{hook['id']}"
    assert "whsec_" in await browser.post(path, 200, what="rotate")
    for what in ("test", "off", "on"):
        await browser.post(path, what=what)
    await browser.post(path, 400, what="dance")
    await browser.post(path, what="remove")
    assert "no type" in await browser.post("/console/alerts/webhooks", 400, url="http://127.0.0.1:9/", events="nonsense")


async def test_who_may_only_read_sees_no_buttons(browser: Browser) -> None:
    house = browser.one.house
    key, _ = await house.key(name="reads", scopes=["read"])
    reader = Browser(browser.one, await signed_in(house, key))
    assert "No rule watches anything" in await reader.get("/console/alerts")
    assert "Make a rule</span>" not in await reader.get("/console/alerts/rules")
    for page in ("silences", "deliveries", "webhooks"):
        assert "<dialog" not in (await reader.get(f"/console/alerts/{page}")).replace('<dialog class="dialog" id="keys', "")
    await reader.get("/console/alerts/rules/new", 403)
    await reader.post("/console/alerts/silences", 403, rule="*", hours="4", why="w")


async def test_nothing_yet(tmp_path: Path) -> None:
    async with alarmed(tmp_path) as one:
        visitor = Browser(one, await signed_in(one.house, one.house.admin))
        assert "No rule watches anything" in await visitor.get("/console/alerts")
        for page in ("rules", "silences", "deliveries", "webhooks"):
            await visitor.get(f"/console/alerts/{page}")
