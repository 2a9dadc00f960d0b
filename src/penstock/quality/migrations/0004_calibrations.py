"""Limits of groundedness that labels of a task's own replies support."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "quality_0004"
down_revision = "quality_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "groundedness_calibrations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("detector", sa.Text, nullable=False),
        sa.Column("low", sa.Double, nullable=False),
        sa.Column("high", sa.Double, nullable=False),
        sa.Column("found", sa.Text, nullable=False),
        sa.Column("sample", sa.Text, nullable=False),
        sa.Column("left_out", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_groundedness_calibrations"),
    )
    op.create_index("ix_groundedness_calibrations_organisation_task", "groundedness_calibrations", ["organisation", "task", "created_at"])
