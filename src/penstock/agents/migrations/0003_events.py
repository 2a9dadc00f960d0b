"""Events that runs wait for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0003"
down_revision = "agents_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_events",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_events"),
    )
    op.create_index("ix_agent_events_organisation_name_at", "agent_events", ["organisation", "name", "at"])
    op.create_index("ix_agent_events_at", "agent_events", ["at"])
    op.create_table(
        "agent_waits",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("where", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_waits"),
    )
    op.create_index("ix_agent_waits_organisation_name", "agent_waits", ["organisation", "name"])
    op.create_index("ix_agent_waits_at", "agent_waits", ["at"])
