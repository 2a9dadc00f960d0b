"""Tasks that others began over A2A, and where they want to hear of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "interop_0001"
down_revision = None
branch_labels = ("interop",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "a2a_tasks",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("messages", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_a2a_tasks"),
    )
    op.create_index("ix_a2a_tasks_organisation_agent_created_at", "a2a_tasks", ["organisation", "agent", "created_at"])
    op.create_table(
        "a2a_pushes",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.Column("over", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("run", "id", name="pk_a2a_pushes"),
    )
    op.create_index("ix_a2a_pushes_over", "a2a_pushes", ["over"])
