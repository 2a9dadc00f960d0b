"""Tables of what agents remember."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

from penstock.agents.tables import METADATA

THREADS = Table(
    "agent_threads",
    METADATA,
    Column("organisation", Text, nullable=False),
    Column("id", Text, nullable=False),  # as its caller named it
    Column("agent", Text, nullable=False),
    Column("person", Text, nullable=False),  # empty: nobody in particular
    Column("title", Text, nullable=False),  # how its first message begins
    Column("created_at", Double, nullable=False),  # Unix seconds
    Column("updated_at", Double, nullable=False),
    PrimaryKeyConstraint("organisation", "id", name="pk_agent_threads"),
    Index("ix_agent_threads_organisation_updated_at", "organisation", "updated_at"),
    Index("ix_agent_threads_organisation_person", "organisation", "person"),
)

MESSAGES = Table(
    "agent_messages",
    METADATA,
    Column("organisation", Text, nullable=False),
    Column("thread", Text, nullable=False),
    Column("number", Integer, nullable=False),  # from 1
    Column("run", Text, nullable=False),
    Column("role", Text, nullable=False),  # user or assistant
    Column("text", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("organisation", "thread", "number", name="pk_agent_messages"),
)

MEMORIES = Table(
    "agent_memories",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),  # under which its words are found
    Column("id", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("scope", Text, nullable=False),  # person, team or agent
    Column("owner", Text, nullable=False),  # the person's or team's id, the agent's name
    Column("text", Text, nullable=False),
    Column("labels", Text, nullable=False),  # a JSON list
    Column("agent", Text, nullable=False),  # that remembered it; empty: a person did
    Column("run", Text, nullable=False),
    Column("person", Text, nullable=False),  # for whom it worked, or who wrote it
    Column("created_at", Double, nullable=False),  # Unix seconds
    Column("used_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("embedder", Text),  # id of what made the vector
    Column("vector", LargeBinary),  # float32, of length 1
    Index("ix_agent_memories_id", "id", unique=True),
    Index("ix_agent_memories_owner", "organisation", "scope", "owner"),
    Index("ix_agent_memories_person", "organisation", "person"),
    Index("ix_agent_memories_expires_at", "expires_at"),
)
