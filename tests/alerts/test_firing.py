from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.alerts.series import LATENCY, NOW

from penstock.alerts.firing import end, matches, quiet, settle, word, worse
from penstock.alerts.model import Alert, Rule, Silence, Terms, Threshold, Verdict

DAY = 86_400.0
RULE = Rule(id="r", organisation="", name="slow", terms=Terms(measure="toy_latency_ms", threshold=Threshold(above=2000), by="task"))
BAD = Verdict(state="bad", value=2500, limit=2000, since=NOW - 300, count=10)


def after(verdict: Verdict, alert: Alert | None, now: float = NOW) -> Alert | None:
    return settle(RULE, LATENCY, "a", verdict, alert, now, DAY)


def opened(**more: Any) -> Alert:
    alert = after(BAD, None)
    assert alert is not None
    return msgspec.structs.replace(alert, **more)


def silence(match: dict[str, str], **more: Any) -> Silence:
    values: dict[str, Any] = {
        "id": "s",
        "organisation": "",
        "starts_at": NOW - 10,
        "until": NOW + 10,
        "why": "w",
        "created_by": "me",
        "created_at": NOW,
    }
    return Silence(match=match, **{**values, **more})


def test_only_what_is_bad_opens() -> None:
    assert after(Verdict(state="good", value=1), None) is None
    assert after(Verdict(state="unclear"), None) is None
    alert = opened()
    assert (alert.state, alert.since, alert.worst, alert.group) == ("open", NOW - 300, 2500, "a")


def test_in_between_it_stays_open_and_shows_the_value_of_now() -> None:
    alert = after(Verdict(state="unclear", value=1950, count=3), opened(), NOW + 60)
    assert alert is not None
    assert (alert.state, alert.verdict.state, alert.verdict.value) == ("open", "bad", 1950)


def test_it_ends_when_good_or_when_nobody_knows_for_long() -> None:
    good = after(Verdict(state="good", value=100), opened(), NOW + 60)
    assert good is not None
    assert (good.state, good.resolved_at) == ("resolved", NOW + 60)
    silent = Verdict(state="unclear")
    soon, late = after(silent, opened(), NOW + 60), after(silent, opened(), NOW + DAY + 1)
    assert soon is not None
    assert late is not None
    assert (soon.state, late.state, "no readings" in late.ended) == ("open", "resolved", True)
    assert end(opened(), NOW, "gone").ended == "gone"


def test_it_remembers_the_worst_and_never_gets_less_urgent() -> None:
    up = after(Verdict(state="bad", value=9000, severity="page"), opened())
    assert up is not None
    assert (up.severity, up.worst) == ("page", 9000)
    down = after(Verdict(state="bad", value=2100, severity="ticket"), up)
    assert down is not None
    assert (down.severity, down.worst) == ("page", 9000)
    assert (worse(None, 1, falls=True), worse(3, 1, falls=True), worse(3, None, falls=False)) == (1, 1, 3)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"rule": "slow"}, True),
        ({"rule": "sl*", "group": "b"}, False),
        ({"measure": "toy_*", "severity": "ticket"}, True),
        ({"group": "A"}, False),
    ],
)
def test_silences_match_by_patterns(match: dict[str, str], fits: bool) -> None:
    assert matches(silence(match), opened()) is fits


def test_who_is_quiet_and_why() -> None:
    alert = opened()
    assert "silenced by me: w" in quiet(alert, [silence({"rule": "*"})], [], (), NOW)
    assert quiet(alert, [silence({"rule": "*"}, until=NOW)], [], (), NOW) == ""
    assert quiet(alert, [silence({"rule": "*"}, organisation="other")], [], (), NOW) == ""
    assert quiet(opened(snoozed_until=NOW + 5, snoozed_by="me"), [], [], (), NOW) == "snoozed by me"
    wider = opened(id="x", rule="down", group="")
    assert quiet(alert, [], [wider], ("down",), NOW) == "'down' has fired"
    assert quiet(alert, [], [msgspec.structs.replace(wider, group="b")], ("down",), NOW) == ""
    assert quiet(alert, [], [msgspec.structs.replace(wider, organisation="other")], ("down",), NOW) == ""
    assert quiet(alert, [], [wider], (), NOW) == ""


def test_what_is_told() -> None:
    fresh, told = opened(), opened(told_at=NOW)
    assert word(None, fresh, "", 0, NOW) == "fired"
    assert word(None, fresh, "silenced", 0, NOW) is None
    assert word(told, told, "", 0, NOW + 9999) is None
    assert word(told, msgspec.structs.replace(told, severity="page"), "", 0, NOW) == "escalated"
    silenced = msgspec.structs.replace(told, severity="page", told_severity="ticket")
    assert word(silenced, silenced, "", 0, NOW) == "escalated"  # it became so while a silence held
    assert word(told, told, "", 1, NOW + 3599) is None
    assert word(told, told, "", 1, NOW + 3600) == "again"
    assert word(told, msgspec.structs.replace(told, acknowledged_at=NOW), "", 1, NOW + 3600) is None
    assert word(told, msgspec.structs.replace(told, snoozed_until=NOW + 50), "", 0, NOW + 60) == "again"
    assert word(told, end(told, NOW, "x"), "silenced", 0, NOW) == "resolved"
    assert word(fresh, end(fresh, NOW, "x"), "", 0, NOW) is None
