"""What a schedule's runs carry of who asked for it, and since when it is paused; waits for events are found by their runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0008"
down_revision = "agents_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent_schedules", sa.Column("labels", sa.Text, nullable=False, server_default="{}"))
    op.add_column("agent_schedules", sa.Column("read", sa.Text, nullable=False, server_default="[]"))
    op.add_column("agent_schedules", sa.Column("asked_by", sa.Text, nullable=False, server_default="[]"))
    op.add_column("agent_schedules", sa.Column("paused_at", sa.Double))
    op.create_index("ix_agent_schedules_organisation_person", "agent_schedules", ["organisation", "person"])
    op.create_index("ix_agent_waits_run", "agent_waits", ["run"])
