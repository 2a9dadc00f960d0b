"""What is told of an alert: a CloudEvent (version 1.0, structured JSON) that every route makes its own shape from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from penstock.alerts.evaluate import amount
from penstock.alerts.firing import Word
from penstock.alerts.model import Alert

SPEC = "1.0"
TYPES: Mapping[Word, str] = {
    "fired": "penstock.alert.fired",
    "escalated": "penstock.alert.escalated",
    "again": "penstock.alert.reminded",
    "resolved": "penstock.alert.resolved",
}
AROUND = 3 * 3600.0
"""How long before an alert began the Health page shows."""
ON_HEALTH = frozenset({"task", "model", "answered", "provider", "team", "project", "key", "service", "release", "environment", "prompt"})
"""Dimensions that the Health page is narrowed by; those of other rooms' measures it does not know."""


def cloud_event(kind: str, *, id: str, source: str, subject: str, at: float, data: Mapping[str, Any]) -> bytes:
    """A CloudEvent in JSON. ``source`` and ``id`` together are one of a kind."""
    event = {
        "specversion": SPEC,
        "id": id,
        "source": source,
        "type": kind,
        "subject": subject,
        "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }
    return msgspec.json.encode(event)


def of_alert(alert: Alert, word: Word, *, url: str, now: float, key: str) -> bytes:
    """The event of an alert, with the links to the alert and to the Health page at its time."""
    base = url.rstrip("/")
    verdict = alert.verdict
    data: dict[str, Any] = {
        "alert": alert.id,
        "what": word,
        "title": title(alert),
        "text": verdict.told,
        "state": alert.state,
        "severity": alert.severity,
        "organisation": alert.organisation,
        "rule": alert.rule,
        "measure": alert.measure,
        "unit": alert.unit,
        "where": alert.where,
        "by": alert.by,
        "group": alert.group,
        "value": verdict.value,
        "low": verdict.low,
        "high": verdict.high,
        "limit": verdict.limit,
        "worst": alert.worst,
        "count": verdict.count,
        "budget_left": verdict.budget_left,
        "since": alert.since,
        "opened_at": alert.opened_at,
        "resolved_at": alert.resolved_at,
        "ended": alert.ended,
        "note": alert.note,
        "href": f"{base}/console/alerts/{alert.id}",
        "health": base + health(alert, now),
        "examples": [{"id": one.id, "href": base + one.href, "at": one.at, "value": one.value, "why": one.why} for one in alert.examples],
    }
    return cloud_event(TYPES[word], id=key, source=base or "penstock", subject=subject(alert), at=now, data=data)


def subject(alert: Alert) -> str:
    """Rule and group."""
    return f"{alert.rule}/{alert.group}" if alert.group else alert.rule


def title(alert: Alert) -> str:
    """The alert in a few words, where it is included."""
    where = [f"{alert.by} {alert.group}"] if alert.group else []
    where += [f"{name} {', '.join(values)}" for name, values in sorted(alert.where.items())]
    return alert.rule + (f" ({'; '.join(where)})" if where else "")


def health(alert: Alert, now: float) -> str:
    """The address of the Health page at the time of an alert, narrowed to where it is."""
    until = min(now, (alert.resolved_at or now) + AROUND / 3)
    narrowed = {name: values[0] for name, values in alert.where.items() if len(values) == 1 and name in ON_HEALTH}
    if alert.by in ON_HEALTH and alert.group and alert.group != "…":
        narrowed[alert.by] = alert.group
    asked = {"since": int(alert.since - AROUND), "until": int(until), **narrowed}
    return f"/console/health?{urlencode(asked, quote_via=quote)}"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an event that messages to people are made of."""

    kind: str
    id: str
    title: str
    text: str
    severity: str
    what: str
    at: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    examples: tuple[tuple[str, str], ...]
    note: str
    alert: str
    source: str
    data: dict[str, Any]


def told(event: bytes, *, examples: bool = True) -> Told:
    """An event in the words of a message. Events of the house that are no alerts have their data as facts."""
    one: dict[str, Any] = msgspec.json.decode(event)
    data: dict[str, Any] = one["data"]
    if "alert" not in data:
        facts = tuple((name, str(value)) for name, value in data.items() if value not in (None, "", {}))
        what = one["type"].removeprefix("penstock.")
        return Told(
            kind=one["type"],
            id=one["id"],
            title=f"{what}: {one['subject']}",
            text=str(data.get("text", "")),
            severity="info",
            what=what,
            at=one["time"],
            facts=facts,
            links=(),
            examples=(),
            note="",
            alert="",
            source=one["source"],
            data=data,
        )
    unit, found = data["unit"], list[tuple[str, str]]()
    shown = amount(data["value"], unit if data["budget_left"] is None else "")
    if data["low"] is not None and data["high"] is not None:
        shown += f" ({amount(data['low'], unit)} to {amount(data['high'], unit)})"
    found.append(("Value", shown))
    if data["limit"] is not None:
        found.append(("Limit", amount(data["limit"], unit if data["budget_left"] is None else "")))
    if data["budget_left"] is not None:
        found.append(("Error budget left", f"{data['budget_left'] * 100:.3g} %"))
    found.append(("Calls behind it", str(data["count"])))
    found.append(("Since", _moment(data["since"])))
    if data["resolved_at"] is not None:
        found.append(("Until", _moment(data["resolved_at"])))
    links = (("Alert", data["href"]), ("Health at that time", data["health"]))
    calls = tuple((_example(one), one["href"]) for one in data["examples"]) if examples else ()
    word = {"fired": "Alert", "escalated": "More urgent", "again": "Still open", "resolved": "Resolved"}[data["what"]]
    return Told(
        kind=one["type"],
        id=one["id"],
        title=f"{word}: {data['title']}",
        text=data["text"] if data["state"] == "open" else f"Resolved: {data['ended']}. It was: {data['text']}",
        severity=data["severity"],
        what=data["what"],
        at=one["time"],
        facts=tuple(found),
        links=links,
        examples=calls,
        note=data["note"],
        alert=data["alert"],
        source=one["source"],
        data=data,
    )


def _example(one: Mapping[str, Any]) -> str:
    return f"{one['id']}" + (f": {one['why']}" if one["why"] else "")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
