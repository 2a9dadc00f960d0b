"""The table of the processes that work on a shared journal."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

NODES = Table(
    "journal_nodes",
    METADATA,
    Column("node", Text, primary_key=True),  # the executor id in DBOS's tables
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Double, nullable=False),  # Unix seconds by the database's clock, as all here
    Column("beat_at", Double, nullable=False),
    Column("lease", Double, nullable=False),  # seconds after a beat until which the node counts as alive
)
