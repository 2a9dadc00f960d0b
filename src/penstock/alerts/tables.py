"""The tables of the alerts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, Table, Text

from penstock.storage.lead import lead_table
from penstock.storage.schema import metadata

METADATA = metadata()

RULES = Table(
    "alerts_rules",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),  # empty: all together
    Column("name", Text, nullable=False),
    Column("terms", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("changed_at", Double, nullable=False),
)
Index("ux_alerts_rules_organisation_name", RULES.c.organisation, RULES.c.name, unique=True)

ALERTS = Table(
    "alerts_alerts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("open", Text),  # rule and group while it is open; unique
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("resolved_at", Double),
    Column("told_at", Double),
    Column("body", Text, nullable=False),  # JSON: the whole alert
)
Index("ux_alerts_alerts_open", ALERTS.c.open, unique=True)
Index("ix_alerts_alerts_organisation_opened_at", ALERTS.c.organisation, ALERTS.c.opened_at)

SILENCES = Table(
    "alerts_silences",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("match", Text, nullable=False),  # JSON
    Column("starts_at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("why", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

DELIVERIES = Table(
    "alerts_deliveries",
    METADATA,
    Column("id", Text, primary_key=True),  # the idempotency key
    Column("number", BigInteger, nullable=False),  # nanoseconds: messages of one route about one thing go in this order
    Column("organisation", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("alert", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),  # the CloudEvent
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("last_at", Double),
    Column("delivered_at", Double),
    Column("fault", Text, nullable=False),
)
Index("ix_alerts_deliveries_state_next_at", DELIVERIES.c.state, DELIVERIES.c.next_at)
Index("ix_alerts_deliveries_organisation_created_at", DELIVERIES.c.organisation, DELIVERIES.c.created_at)

HOOKS = Table(
    "alerts_webhooks",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),  # JSON
    Column("everywhere", Integer, nullable=False),  # of all organisations
    Column("enabled", Integer, nullable=False),
    Column("turn", Integer, nullable=False),  # how often its secret was changed
    Column("why_off", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
)
Index("ix_alerts_webhooks_organisation", HOOKS.c.organisation)

LEASES = lead_table("alerts_leases", METADATA)
