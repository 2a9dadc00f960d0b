"""What becomes of an alert when its rule has been looked at: opened, changed, ended; and who is told of it, or why nobody is.

Nothing here remembers anything: what is decided follows from the verdict, the open alert and what keeps it quiet, so a process that dies
in the middle leaves nothing behind that the next one would have to guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from penstock.alerts.model import SEVERITIES, Alert, Rule, Severity, Silence, Verdict
from penstock.kernel.ids import new_id
from penstock.kernel.measures import Measure

Word = Literal["fired", "escalated", "again", "resolved"]
"""What routes are told."""


def settle(rule: Rule, measure: Measure, group: str, verdict: Verdict, alert: Alert | None, now: float, stale: float) -> Alert | None:
    """The alert of a rule and group after a verdict; None where there is none. An alert without readings for ``stale`` seconds ends."""
    severity: Severity = verdict.severity or rule.terms.severity
    if alert is None:
        if verdict.state != "bad":
            return None
        return Alert(
            id=new_id("alert"),
            organisation=rule.organisation,
            rule_id=rule.id,
            rule=rule.name,
            group=group,
            measure=measure.name,
            unit=measure.unit,
            severity=severity,
            state="open",
            opened_at=now,
            since=verdict.since or now,
            seen_at=now,
            verdict=verdict,
            where=rule.terms.where,
            by=rule.terms.by,
            note=rule.terms.note,
            routes=rule.terms.routes,
            worst=verdict.value,
        )
    if verdict.state == "good":
        return msgspec.structs.replace(alert, state="resolved", resolved_at=now, seen_at=now, verdict=verdict, ended="it is good again")
    if verdict.value is None and now - alert.seen_at > stale:
        told = f"there were no readings for {stale / 3600:.3g} hours: nobody knows whether it is good again"
        return msgspec.structs.replace(alert, state="resolved", resolved_at=now, ended=told)
    if verdict.value is None:
        return alert
    if verdict.state == "bad":
        up = SEVERITIES[max(SEVERITIES.index(severity), SEVERITIES.index(alert.severity))]
        worst = worse(alert.worst, verdict.value, falls=measure.worse == "down")
        return msgspec.structs.replace(alert, seen_at=now, verdict=verdict, severity=up, worst=worst)
    # Neither proved nor over: the last proof stays, with the value of now.
    shown = msgspec.structs.replace(alert.verdict, value=verdict.value, low=verdict.low, high=verdict.high, count=verdict.count)
    return msgspec.structs.replace(alert, seen_at=now, verdict=shown)


def end(alert: Alert, now: float, why: str) -> Alert:
    """An alert that ends since its rule watches no more."""
    return msgspec.structs.replace(alert, state="resolved", resolved_at=now, ended=why)


def worse(one: float | None, other: float | None, *, falls: bool) -> float | None:
    """The worse of two values."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other) if falls else max(one, other)


def quiet(alert: Alert, silences: Iterable[Silence], others: Sequence[Alert], unless: Sequence[str], now: float) -> str:
    """Why nobody is told of an alert now; empty where somebody is."""
    for one in silences:
        if one.starts_at <= now < one.until and one.organisation in ("", alert.organisation) and matches(one, alert):
            return f"silenced by {one.created_by}: {one.why}"
    if alert.snoozed_until is not None and now < alert.snoozed_until:
        return f"snoozed by {alert.snoozed_by}"
    for other in others:
        wider = other.state == "open" and other.id != alert.id and other.rule in unless and other.group in ("", alert.group)
        if wider and other.organisation in ("", alert.organisation):
            return f"'{other.rule}' has fired"
    return ""


def matches(silence: Silence, alert: Alert) -> bool:
    """Whether all that a silence names fits the alert."""
    told = {"rule": alert.rule, "group": alert.group, "measure": alert.measure, "severity": alert.severity}
    return all(fnmatchcase(told[name], pattern) for name, pattern in silence.match.items() if name in told)


def word(before: Alert | None, after: Alert, hush: str, repeat_hours: float, now: float) -> Word | None:
    """What routes are to be told of now, if anything. Of the end they hear when they heard of the alert, even in a silence."""
    if after.state == "resolved":
        return "resolved" if after.told_at is not None else None
    if hush:
        return None
    if after.told_at is None:
        return "fired"
    # Of what they were told, not of a moment ago: it may have become more urgent while something kept it quiet.
    known = after.told_severity or (before.severity if before is not None else after.severity)
    if SEVERITIES.index(after.severity) > SEVERITIES.index(known):
        return "escalated"
    if after.snoozed_until is not None and after.told_at < after.snoozed_until <= now:
        return "again"
    waited = repeat_hours > 0 and now - after.told_at >= repeat_hours * 3600
    return "again" if waited and after.acknowledged_at is None else None
