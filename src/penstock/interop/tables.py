"""Tables of the other protocols."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, PrimaryKeyConstraint, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

TASKS = Table(
    "a2a_tasks",
    METADATA,
    Column("run", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("messages", Text, nullable=False),  # JSON: what the client sent
    Column("created_at", Double, nullable=False),
    Column("person", Text),  # whose key began it
)
Index("ix_a2a_tasks_organisation_agent_created_at", TASKS.c.organisation, TASKS.c.agent, TASKS.c.created_at)
Index("ix_a2a_tasks_created_at", TASKS.c.created_at, TASKS.c.run)

PUSHES = Table(
    "a2a_pushes",
    METADATA,
    Column("run", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("key", Text, nullable=False),  # that asked for it
    Column("config", Text, nullable=False),  # JSON, without what is sealed
    Column("told", Integer, nullable=False),  # events of the run that were delivered
    Column("over", Boolean, nullable=False),  # whether the run's end was delivered, or given up
    Column("created_at", Double, nullable=False),
    Column("sealed", Text),  # its token and credentials, until there is nothing more to deliver
    Column("person", Text),  # whose key asked for it
    PrimaryKeyConstraint("run", "id"),
)
Index("ix_a2a_pushes_over", PUSHES.c.over)
