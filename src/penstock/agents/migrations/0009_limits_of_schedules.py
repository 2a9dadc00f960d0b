"""A schedule's runs may use no more than the run that asked for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0009"
down_revision = "agents_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent_schedules", sa.Column("limits", sa.Text, nullable=False, server_default="{}"))
