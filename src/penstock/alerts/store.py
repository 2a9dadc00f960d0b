"""Rules, alerts and silences in SQL."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select, update

from penstock.alerts.model import Alert, Rule, Silence, Terms
from penstock.alerts.tables import ALERTS, LEASES, RULES, SILENCES
from penstock.storage.lead import Lead
from penstock.storage.schema import encode_json

LEAD = Lead(LEASES, "rounds")
"""The lease of whoever looks at rules and delivers."""


def rules(connection: Connection, organisation: str | None) -> list[Rule]:
    """The stored rules of an organisation, of all where None, by name."""
    query = select(RULES).order_by(RULES.c.name, RULES.c.organisation)
    if organisation is not None:
        query = query.where(RULES.c.organisation == organisation)
    return [_rule(row) for row in connection.execute(query).mappings()]


def rule(connection: Connection, id: str) -> Rule | None:
    """One rule."""
    row = connection.execute(select(RULES).where(RULES.c.id == id)).mappings().first()
    return None if row is None else _rule(row)


def put_rule(connection: Connection, one: Rule) -> None:
    """Write a rule, new or changed. Raises `Conflict` when the organisation has another one of this name."""
    values = {"name": one.name, "terms": encode_json(one.terms), "changed_at": one.changed_at}
    if connection.execute(update(RULES).where(RULES.c.id == one.id).values(values)).rowcount == 0:
        first = {"id": one.id, "organisation": one.organisation, "created_at": one.created_at, "created_by": one.created_by}
        connection.execute(insert(RULES).values(**first, **values))


def drop_rule(connection: Connection, id: str) -> None:
    """Forget a rule; its alerts stay on the record."""
    connection.execute(delete(RULES).where(RULES.c.id == id))


def open_alerts(connection: Connection, rule_id: str | None = None) -> list[Alert]:
    """The open alerts, of one rule or of all."""
    query = select(ALERTS.c.body).where(ALERTS.c.open.is_not(None)).order_by(ALERTS.c.opened_at, ALERTS.c.id)
    if rule_id is not None:
        query = query.where(ALERTS.c.rule_id == rule_id)
    return [_alert(body) for body in connection.execute(query).scalars()]


def alert(connection: Connection, id: str) -> Alert | None:
    """One alert."""
    body = connection.execute(select(ALERTS.c.body).where(ALERTS.c.id == id)).scalar()
    return None if body is None else _alert(body)


def alerts(
    connection: Connection, organisation: str | None, *, state: str = "", since: float = 0.0, until: float | None = None, limit: int = 200
) -> list[Alert]:
    """Alerts that were open between two moments, the latest first."""
    where = [or_(ALERTS.c.resolved_at.is_(None), ALERTS.c.resolved_at >= since)]
    if organisation is not None:
        where.append(ALERTS.c.organisation == organisation)
    if state:
        where.append(ALERTS.c.state == state)
    if until is not None:
        where.append(ALERTS.c.opened_at < until)
    query = select(ALERTS.c.body).where(and_(*where)).order_by(ALERTS.c.opened_at.desc(), ALERTS.c.id.desc()).limit(limit)
    return [_alert(body) for body in connection.execute(query).scalars()]


def put_alert(connection: Connection, one: Alert) -> None:
    """Write an alert, new or changed. Raises `Conflict` where the rule and group have another open one."""
    values: dict[str, Any] = {
        "open": f"{one.rule_id}\n{one.group}" if one.state == "open" else None,
        "state": one.state,
        "severity": one.severity,
        "resolved_at": one.resolved_at,
        "told_at": one.told_at,
        "body": encode_json(one),
    }
    if connection.execute(update(ALERTS).where(ALERTS.c.id == one.id).values(values)).rowcount == 0:
        first = {
            "id": one.id,
            "organisation": one.organisation,
            "rule_id": one.rule_id,
            "group": one.group,
            "opened_at": one.opened_at,
        }
        connection.execute(insert(ALERTS).values(**first, **values))


def counted(connection: Connection) -> dict[str, int]:
    """How many alerts are open, by severity."""
    query = select(ALERTS.c.severity, func.count()).where(ALERTS.c.open.is_not(None)).group_by(ALERTS.c.severity)
    return {row[0]: row[1] for row in connection.execute(query)}


def forget_alerts(connection: Connection, before: float) -> int:
    """Drop alerts that ended before a moment; how many."""
    return connection.execute(delete(ALERTS).where(ALERTS.c.open.is_(None), ALERTS.c.resolved_at < before)).rowcount


def silences(connection: Connection, organisation: str | None, *, after: float | None = None) -> list[Silence]:
    """Silences, the one that lasts longest first; only those that hold after a moment where one is given."""
    query = select(SILENCES).order_by(SILENCES.c.until.desc(), SILENCES.c.id)
    if organisation is not None:
        query = query.where(SILENCES.c.organisation == organisation)
    if after is not None:
        query = query.where(SILENCES.c.until > after)
    return [_silence(row) for row in connection.execute(query).mappings()]


def silence(connection: Connection, id: str) -> Silence | None:
    """One silence."""
    row = connection.execute(select(SILENCES).where(SILENCES.c.id == id)).mappings().first()
    return None if row is None else _silence(row)


def put_silence(connection: Connection, one: Silence) -> None:
    """Write a silence, new or with another end."""
    if connection.execute(update(SILENCES).where(SILENCES.c.id == one.id).values(until=one.until)).rowcount == 0:
        connection.execute(insert(SILENCES).values({**msgspec.structs.asdict(one), "match": encode_json(one.match)}))


def forget_silences(connection: Connection, before: float) -> int:
    """Drop silences that ended before a moment; how many."""
    return connection.execute(delete(SILENCES).where(SILENCES.c.until < before)).rowcount


def _rule(row: RowMapping) -> Rule:
    return Rule(
        id=row["id"],
        organisation=row["organisation"],
        name=row["name"],
        terms=msgspec.json.decode(row["terms"], type=Terms),
        created_at=row["created_at"],
        created_by=row["created_by"],
        changed_at=row["changed_at"],
    )


def _alert(body: str) -> Alert:
    return _ALERT.decode(body)


def _silence(row: RowMapping) -> Silence:
    return msgspec.convert({**{str(name): value for name, value in row.items()}, "match": msgspec.json.decode(row["match"])}, Silence)


_ALERT = msgspec.json.Decoder(Alert)
