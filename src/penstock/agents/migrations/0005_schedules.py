"""Agents and workflows that are started later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0005"
down_revision = "agents_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_schedules",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("missed", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("next_at", sa.Double),
        sa.Column("last_at", sa.Double),
        sa.Column("last_run", sa.Text, nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_schedules"),
    )
    op.create_index("ix_agent_schedules_state_next_at", "agent_schedules", ["state", "next_at"])
    op.create_index("ix_agent_schedules_organisation_state", "agent_schedules", ["organisation", "state"])
