"""The tables of finops: the ledger, append only, and the budgets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, Table, Text, UniqueConstraint, text

from penstock.storage.schema import metadata

METADATA = metadata()

SPOOL = "ledger"
"""Folder of the ledger's spool inside the data folder."""

LEDGER = Table(
    "ledger",
    METADATA,
    Column("id", Text, primary_key=True),  # the call's id (of a part: with its number), so that a row delivered twice is one row
    Column("at", BigInteger, nullable=False),  # Unix milliseconds
    Column("organisation", Text),
    Column("team", Text),
    Column("project", Text),
    Column("person", Text),
    Column("key_id", Text),
    Column("task", Text),
    Column("model", Text, nullable=False),
    Column("provider", Text),
    Column("provider_model", Text),
    Column("operation", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("usage", Text, nullable=False),  # JSON, all counts
    Column("prices", Text),  # JSON, micro-units per million; null when no price was known
    Column("amount", BigInteger, nullable=False),  # micro-units
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("corrects", Text),  # id of the row that this one corrects; then amount is the difference
    Column("reason", Text),
    Column("by", Text),  # id of the key that asked for the correction
    Column("run", Text),  # the durable run that made the call
    Column("step", Integer),  # and the number of its step
)
Index("ix_ledger_run", LEDGER.c.run, postgresql_where=text("run IS NOT NULL"), sqlite_where=text("run IS NOT NULL"))
Index("ix_ledger_corrects", LEDGER.c.corrects, postgresql_where=text("corrects IS NOT NULL"), sqlite_where=text("corrects IS NOT NULL"))
Index("ix_ledger_at", LEDGER.c.at)

BUDGETS = Table(
    "budgets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),  # empty: the whole installation
    Column("name", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("alerts", Text, nullable=False),  # JSON, per cent
    Column("created_at", Double, nullable=False),
    UniqueConstraint("organisation", "name"),
)

SHARES = Table(
    "budget_shares",
    METADATA,
    Column("budget", Text, primary_key=True),
    Column("process", Text, primary_key=True),  # the name of its spool
    Column("begin", Double, nullable=False),  # of the period, Unix seconds
    Column("share", BigInteger, nullable=False),  # micro-units that the process may come to beyond what the ledger holds
    Column("until", Double, nullable=False),  # Unix seconds
)
