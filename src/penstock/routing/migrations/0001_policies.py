"""Policies of tasks, what watches them, what exploration has spent, and the counter of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "routing_0001"
down_revision = None
branch_labels = ("routing",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "routing_policies",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("arrays", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_routing_policies"),
        sa.UniqueConstraint("organisation", "task", "number", name="uq_routing_policies_organisation_task_number"),
    )
    op.create_index("ix_routing_policies_state", "routing_policies", ["state"])
    op.create_table(
        "routing_watches",
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("watcher", sa.Text, nullable=False),
        sa.Column("evidence", sa.Double, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("policy", "watcher", name="pk_routing_watches"),
    )
    op.create_table(
        "routing_explored",
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("month", sa.Text, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "task", "month", name="pk_routing_explored"),
    )
    changes = op.create_table(
        "routing_changes",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_routing_changes"),
    )
    op.bulk_insert(changes, [{"id": 1, "version": 0}])
