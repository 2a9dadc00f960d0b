from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.alerts.series import NOW

from penstock.alerts.firing import Word
from penstock.alerts.message import Told, cloud_event, of_alert, told
from penstock.alerts.model import Alert, Cause, Verdict
from penstock.alerts.shapes import email, pagerduty, slack, teams

URL = "https://penstock.example.org"


def alert(**more: Any) -> Alert:
    verdict = Verdict(state="bad", value=0.21, low=0.17, high=0.25, limit=0.1, count=400, since=NOW, told="21 % <of> answers & more")
    values: dict[str, Any] = {
        "id": "alert_1", "organisation": "", "rule_id": "r", "rule": "ungrounded", "group": "faq", "measure": "ungrounded_rate",
        "unit": "share", "severity": "page", "state": "open", "opened_at": NOW, "since": NOW - 600, "seen_at": NOW, "verdict": verdict,
        "where": {"model": ("m",)}, "by": "task", "note": "see the runbook",
        "examples": (Cause(id="call_7", href="/console/calls/call_7", at=NOW, why="says <b>"),),
    }  # fmt: skip
    return Alert(**{**values, **more})


def event(word: Word, **more: Any) -> Told:
    return told(of_alert(alert(**more), word, url=URL + "/", now=NOW, key="alert_1.1"))


def test_the_event_is_a_cloud_event() -> None:
    one = msgspec.json.decode(of_alert(alert(), "fired", url=URL, now=NOW, key="alert_1.1"))
    assert {name: one[name] for name in ("specversion", "id", "source", "type", "subject", "datacontenttype")} == {
        "specversion": "1.0",
        "id": "alert_1.1",
        "source": URL,
        "type": "penstock.alert.fired",
        "subject": "ungrounded/faq",
        "datacontenttype": "application/json",
    }
    assert one["time"].endswith("Z")
    data = one["data"]
    assert data["examples"][0]["href"] == URL + "/console/calls/call_7"
    assert data["health"].startswith(URL + "/console/health?since=")
    assert "task=faq" in data["health"]
    assert "model=m" in data["health"]


def test_slack_has_blocks_and_nothing_of_it_is_markup() -> None:
    message = slack(event("fired"))
    assert message["blocks"][0]["type"] == "header"
    text = msgspec.json.encode(message).decode()
    assert "21 % &lt;of&gt; answers &amp; more" in text
    assert f"<{URL}/console/calls/call_7|call_7: says &lt;b&gt;>" in text
    assert "17 % to 25 %" in text
    assert len(msgspec.json.encode(slack(event("fired", note="x" * 9000)))) < 20_000


def test_teams_has_a_card() -> None:
    card = teams(event("fired"))["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["body"][0]["color"] == "attention"
    assert [action["url"].startswith(URL) for action in card["content"]["actions"]] == [True, True]
    assert teams(event("resolved", state="resolved", ended="it is good again"))["attachments"][0]["content"]["body"][0]["color"] == "good"


def test_a_name_brings_no_link_of_its_own_to_teams() -> None:
    card = msgspec.json.encode(teams(event("fired", group="[free](https://evil.example)"))).decode()
    assert "](https://evil.example" not in card
    assert "](https://penstock.example.org/console/calls/call_7)" in card


def test_pagerduty_opens_and_closes_by_the_alert() -> None:
    opened = pagerduty(event("fired"), "key")
    assert (opened["routing_key"], opened["event_action"], opened["dedup_key"]) == ("key", "trigger", "alert_1")
    assert opened["payload"]["severity"] == "critical"
    assert {"href": URL + "/console/calls/call_7", "text": "call_7: says <b>"} in opened["links"]
    closed = pagerduty(event("resolved", state="resolved", ended="it is good again"), "key")
    assert closed == {"routing_key": "key", "event_action": "resolve", "dedup_key": "alert_1"}


def test_a_mail_says_what_where_and_since_when() -> None:
    hostile = event("fired", rule="ungrounded\r\nBcc: x@y")
    mail = email(hostile, sender="Penstock <alerts@example.org>", to=("a@example.org", "b@example.org"))
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == "<alert_1.1@example.org>"
    assert mail["References"] == "<alert_1@example.org>"
    assert mail["Subject"].startswith("[page] Alert: ungrounded")
    text = mail.get_content()
    for words in ("21 % <of> answers", "Value: 21 % (17 % to 25 %)", "Limit: 10 %", "Since: ", "see the runbook", "/console/calls/call_7"):
        assert words in text


@pytest.mark.parametrize("word", ["fired", "escalated", "again", "resolved"])
def test_every_word_has_a_message(word: Word) -> None:
    ended: dict[str, Any] = {"state": "resolved", "ended": "it is good again", "resolved_at": NOW + 60} if word == "resolved" else {}
    found = event(word, **ended)
    assert found.title.endswith(": ungrounded (task faq; model m)")
    assert ("Until" in dict(found.facts), "good again" in found.text) == (word == "resolved", word == "resolved")


def test_events_of_the_house_are_told_with_their_facts() -> None:
    given = cloud_event("penstock.budget.exhausted", id="b.1", source="penstock", subject="month", at=NOW, data={"percent": 100, "why": ""})
    found = told(given)
    assert (found.title, found.facts) == ("budget.exhausted: month", (("percent", "100"),))
    assert pagerduty(found, "k")["dedup_key"] == "b.1"


def test_examples_can_be_left_out() -> None:
    given = of_alert(alert(), "fired", url=URL, now=NOW, key="k")
    assert told(given, examples=False).examples == ()
