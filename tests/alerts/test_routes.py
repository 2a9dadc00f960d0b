"""Rules, silences and webhooks over the API: who may, what is refused, and with which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.alerts.rig import Alarmed, alarmed, receiving
from tests.alerts.series import NOW, steps

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

SETTINGS = """
[alerts.rules.declared]
measure = "toy_latency_ms"
threshold = { above = 5000 }
[alerts.routes.ops]
kind = "slack"
url = "https://hooks.example.org/services/geheim"
[alerts.routes.missing]
kind = "pagerduty"
secret_env = "NO_SUCH_VARIABLE"
default = false
"""
TERMS: dict[str, Any] = {"measure": "toy_latency_ms", "threshold": {"above": 2000}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alarmed]:
    async with alarmed(tmp_path_factory.mktemp("routes"), SETTINGS) as found:
        found.at(NOW)
        yield found


async def test_a_rule_is_made_tried_changed_and_removed(one: Alarmed) -> None:
    house = one.house
    one.source.put("toy_latency_ms", steps([2500] * 5))
    tried = await house.ask("POST", "/v1/alerts/rules/try", {"terms": TERMS})
    assert tried.json["verdicts"][""]["state"] == "bad"
    made = (await house.made("/v1/alerts/rules", {"name": " slow  one ", "terms": TERMS}))["rule"]
    assert (made["name"], made["origin"], made["terms"]["threshold"]["above"]) == ("slow one", "api", 2000)
    path = f"/v1/alerts/rules/{made['id']}"
    changed = await house.ask("PUT", path, {"name": "slow one", "terms": {**TERMS, "severity": "page"}})
    assert changed.json["rule"]["terms"]["severity"] == "page"
    twice = await house.ask("POST", "/v1/alerts/rules", {"name": "slow one", "terms": TERMS})
    assert (twice.status, twice.json["error"]["param"]) == (409, "name")
    assert (await house.ask("DELETE", path)).status == 204
    assert (await house.ask("GET", path)).status == 404


@pytest.mark.parametrize(
    ("terms", "status", "param"),
    [
        ({"measure": "nothing", "threshold": {"above": 1}}, 404, "measure"),
        ({"measure": "toy_latency_ms"}, 400, "threshold"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1}, "detector": {}}, 400, "threshold"),
        ({"measure": "toy_latency_ms", "threshold": {}}, 400, "threshold"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1, "below": 0}}, 400, "threshold"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1, "for_seconds": 30}}, 400, "threshold.for_seconds"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1, "for_seconds": 1_000_000}}, 400, "threshold.for_seconds"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1, "clear": 2}}, 400, "threshold.clear"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1, "sure": True}}, 400, "threshold.sure"),
        ({"measure": "toy_latency_ms", "objective": {"target": 0.99}}, 400, "objective.limit"),
        ({"measure": "toy_error_rate", "objective": {"target": 0.9}}, 400, "objective.burns"),
        (
            {
                "measure": "toy_error_rate",
                "objective": {"target": 0.99, "burns": [{"rate": 2, "long_seconds": 600, "short_seconds": 3600}]},
            },
            400,
            "objective.burns",
        ),
        ({"measure": "toy_spend_usd", "threshold": {"above": 1}, "by": "model"}, 400, "by"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1}, "where": {"team": ["x"]}}, 400, "where"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1}, "where": {"task": []}}, 400, "where"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1}, "where": {"task": ["x"]}, "by": "task"}, 400, "by"),
        ({"measure": "toy_latency_ms", "threshold": {"above": 1}, "routes": ["nowhere"]}, 400, "routes"),
    ],
)
async def test_what_is_wrong_with_a_rule_is_said_by_field(one: Alarmed, terms: Any, status: int, param: str) -> None:
    answer = await one.house.ask("POST", "/v1/alerts/rules", {"name": "x", "terms": terms})
    assert (answer.status, answer.json["error"]["param"]) == (status, param)


async def test_rules_of_the_settings_are_seen_and_changed_there(one: Alarmed) -> None:
    path = "/v1/alerts/rules/settings:declared"
    assert (await one.house.ask("GET", path)).json["rule"]["origin"] == "settings"
    answer = await one.house.ask("PUT", path, {"name": "declared", "terms": TERMS})
    assert (answer.status, '[alerts.rules."declared"]' in answer.json["error"]["message"]) == (409, True)


async def test_routes_are_shown_without_their_secrets(one: Alarmed) -> None:
    answer = await one.house.ask("GET", "/v1/alerts/routes")
    assert "geheim" not in answer.text
    assert {route["name"]: (route["shown"], route["lacks"]) for route in answer.json["data"]} == {
        "ops": ("https://hooks.example.org/…", ""),
        "missing": ("https://events.pagerduty.com/…", "NO_SUCH_VARIABLE"),
    }
    assert {finding.name for finding in await one.life.check() if finding.status == "fail"} == {"route:missing"}


async def test_others_see_and_reach_only_their_own(one: Alarmed) -> None:
    house = one.house
    theirs, organisation = await house.outsider()
    mine = (await house.made("/v1/alerts/rules", {"name": "mine", "terms": TERMS}))["rule"]["id"]
    own = (await house.made("/v1/alerts/rules", {"name": "mine", "terms": TERMS}, key=theirs))["rule"]
    assert own["organisation"] == organisation
    listed = (await house.ask("GET", "/v1/alerts/rules", key=theirs)).json["data"]
    assert [view["rule"]["id"] for view in listed] == [own["id"]]
    assert (await house.ask("GET", f"/v1/alerts/rules/{mine}", key=theirs)).status == 404
    assert (await house.ask("DELETE", f"/v1/alerts/rules/{mine}", key=theirs)).status == 404
    assert (await house.ask("GET", "/v1/alerts/routes", key=theirs)).json["data"] == []
    wanted = await house.ask("POST", "/v1/alerts/rules", {"name": "x", "terms": {**TERMS, "routes": ["ops"]}}, key=theirs)
    assert "no route 'ops' here" in wanted.json["error"]["message"]
    everywhere = {"name": "all", "terms": TERMS, "everywhere": True}
    assert (await house.ask("POST", "/v1/alerts/rules", everywhere, key=theirs)).json["error"]["param"] == "everywhere"
    silence = await house.made("/v1/alerts/silences", {"match": {"rule": "*"}, "until": NOW + 60, "why": "w"}, key=theirs)
    assert silence["organisation"] == organisation
    hook = (await house.made("/v1/webhooks", {"url": "https://hooks.example.org/x"}, key=theirs))["webhook"]
    assert hook["organisation"] == organisation
    for url in ("http://hooks.example.org/", "https://127.0.0.1/", "https://10.0.0.9/"):
        refused = await house.ask("POST", "/v1/webhooks", {"url": url}, key=theirs)
        assert (refused.status, refused.json["error"]["param"]) == (400, "url")
    reader, _ = await house.key(name="reads", scopes=["read"])
    assert (await house.ask("POST", "/v1/alerts/rules", {"name": "x", "terms": TERMS}, key=reader)).status == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"match": {}, "until": NOW + 60, "why": "w"}, "match"),
        ({"match": {"colour": "red"}, "until": NOW + 60, "why": "w"}, "match"),
        ({"match": {"rule": ""}, "until": NOW + 60, "why": "w"}, "match"),
        ({"match": {"rule": "*"}, "until": NOW - 60, "why": "w"}, "until"),
        ({"match": {"rule": "*"}, "until": NOW + 1e9, "why": "w"}, "until"),
        ({"match": {"rule": "*"}, "until": NOW + 60, "why": " "}, "why"),
    ],
)
async def test_a_silence_must_mean_something(one: Alarmed, body: Any, param: str) -> None:
    answer = await one.house.ask("POST", "/v1/alerts/silences", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, param)


async def test_a_webhook_is_made_tested_rotated_and_removed(one: Alarmed) -> None:
    async with receiving() as receiver:
        house = one.house
        made = await house.made("/v1/webhooks", {"url": receiver.url, "events": ["penstock.webhook.*"]})
        hook = f"/v1/webhooks/{made['webhook']['id']}"
        assert made["secret"].startswith("whsec_")
        assert made["secret"] not in (await house.ask("GET", "/v1/webhooks")).text
        tested = await house.ask("POST", f"{hook}/test")
        assert tested.status == 202
        await one.life.watching.lead()
        await one.life.watching.deliver()
        ((headers, body),) = receiver.got
        assert (headers["webhook-id"], body["type"]) == (tested.json["delivery"], "penstock.webhook.test")
        assert (await house.ask("POST", f"{hook}/rotate")).json["secret"] != made["secret"]
        changed = await house.ask("PATCH", hook, {"enabled": False})
        assert changed.json["enabled"] is False
        assert (await house.ask("POST", f"{hook}/test")).status == 409
        wrong = await house.ask("PATCH", hook, {"events": ["penstock.coffee"]})
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "events")
        assert (await house.ask("DELETE", hook)).status == 204
        assert (await house.ask("GET", hook)).status == 404


async def test_what_is_not_there(one: Alarmed) -> None:
    for method, path, body in (
        ("GET", "/v1/alerts/alert_x", None),
        ("POST", "/v1/alerts/alert_x", {"what": "acknowledge"}),
        ("DELETE", "/v1/alerts/silences/silence_x", None),
        ("POST", "/v1/alerts/deliveries/x/again", None),
        ("POST", "/v1/webhooks/hook_x/rotate", None),
    ):
        assert (await one.house.ask(method, path, body)).status == 404, path
