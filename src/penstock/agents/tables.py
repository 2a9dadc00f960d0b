"""Tables of the agents."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

EFFECTS = Table(
    "agent_effects",
    METADATA,
    Column("key", Text, primary_key=True),  # the call's: run and ordinal
    Column("organisation", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("effect", Text, nullable=False),  # write or irreversible
    Column("state", Text, nullable=False),  # begun, done, failed, in_doubt
    Column("attempts", Integer, nullable=False),
    Column("outcome", Text),  # JSON, once it is over
    Column("begun_at", Double, nullable=False),
    Column("ended_at", Double),
)
Index("ix_agent_effects_run", EFFECTS.c.run)
Index("ix_agent_effects_organisation_state", EFFECTS.c.organisation, EFFECTS.c.state, EFFECTS.c.begun_at)
