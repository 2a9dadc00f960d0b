"""A message as each kind of route wants it: Slack's blocks, Teams' adaptive card, PagerDuty's Events API v2, an e-mail."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from penstock.alerts.message import Told

SLACK_TEXT = 2900
"""A block of Slack holds 3,000 characters."""
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
PAGERDUTY_SUMMARY = 1024
COLOURS = {"page": "attention", "ticket": "warning", "info": "accent"}
PAGERDUTY_SEVERITY = {"page": "critical", "ticket": "warning", "info": "info"}


def slack(told: Told) -> dict[str, Any]:
    """A message for an incoming hook of Slack (and what speaks its shape: Mattermost, Rocket.Chat, Google Chat's bridge)."""
    facts = "\n".join(f"*{_slack(name)}:* {_slack(value)}" for name, value in told.facts)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": told.title[:150]}},
        _section(_slack(told.text)),
        _section(facts),
    ]
    if told.examples:
        calls = "\n".join(f"• <{href}|{_slack(words)}>" for words, href in told.examples)
        blocks.append(_section(f"*Calls behind it*\n{calls}"))
    if told.note:
        blocks.append(_section(_slack(told.note)))
    if told.links:
        blocks.append(_section(" · ".join(f"<{href}|{_slack(label)}>" for label, href in told.links)))
    return {"text": _slack(f"{told.title}: {told.text}")[:SLACK_TEXT], "blocks": [block for block in blocks if block]}


def teams(told: Told) -> dict[str, Any]:
    """A message for a workflow of Teams that takes an adaptive card."""
    good = told.what == "resolved"
    body: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": _teams(told.title),
            "weight": "Bolder",
            "size": "Medium",
            "wrap": True,
            "color": "good" if good else COLOURS[told.severity],
        },
        {"type": "TextBlock", "text": _teams(told.text), "wrap": True},
        {"type": "FactSet", "facts": [{"title": name, "value": _teams(value)} for name, value in told.facts]},
    ]
    if told.examples:
        calls = "\n".join(f"- [{_teams(words)}]({href})" for words, href in told.examples)
        body.append({"type": "TextBlock", "text": f"Calls behind it:\n\n{calls}", "wrap": True})
    if told.note:
        body.append({"type": "TextBlock", "text": _teams(told.note), "wrap": True})
    actions = [{"type": "Action.OpenUrl", "title": label, "url": href} for label, href in told.links if href.startswith("http")]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}],
    }


def pagerduty(told: Told, key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2. All that is told of one alert has its id as the key, so its end ends what it began."""
    event: dict[str, Any] = {
        "routing_key": key,
        "event_action": "resolve" if told.what == "resolved" else "trigger",
        "dedup_key": told.alert or told.id,
    }
    if event["event_action"] == "trigger":
        data = told.data
        event["payload"] = {
            "summary": f"{told.title}: {told.text}"[:PAGERDUTY_SUMMARY],
            "source": told.source,
            "severity": PAGERDUTY_SEVERITY[told.severity],
            "timestamp": told.at,
            "component": data.get("group") or data.get("rule") or told.title,
            "class": data.get("measure") or told.kind,
            "custom_details": {**dict(told.facts), **({"Note": told.note} if told.note else {})},
        }
        links = [*told.links, *told.examples]
        event["links"] = [{"href": href, "text": words} for words, href in links if href.startswith("http")]
    return event


def email(told: Told, *, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """An e-mail in plain text. Its id is the delivery's, so that a server which has it already can say so; messages of one alert are one
    conversation."""
    mail = EmailMessage()
    domain = sender.rpartition("@")[2].strip("> ") or "penstock"
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(to), f"[{told.severity}] {_line(told.title)}"
    mail["Message-ID"] = f"<{_line(told.id)}@{domain}>"
    mail["Date"] = format_datetime(datetime.fromisoformat(told.at))
    if told.alert:
        thread = f"<{told.alert}@{domain}>"
        mail["References"] = thread
        mail["In-Reply-To"] = thread
    lines = [told.text, "", *(f"{name}: {value}" for name, value in told.facts)]
    if told.examples:
        lines += ["", "Calls behind it:", *(f"  {words}\n    {href}" for words, href in told.examples)]
    if told.note:
        lines += ["", told.note]
    lines += ["", *(f"{label}: {href}" for label, href in told.links)]
    mail.set_content("\n".join(lines))
    return mail


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:SLACK_TEXT]}} if text else {}


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(text: str) -> str:
    """Without links of its own: names of tasks, tools and models come from whoever sends spans."""
    return text.replace("](", "] (")


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
