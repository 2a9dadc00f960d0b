"""Drift: from when on a task's calls are the reference, what was found to have changed, and embeddings of sampled questions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "quality_0007"
down_revision = "quality_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quality_samples", sa.Column("tools", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "drift_baselines",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("ix_drift_baselines_organisation_task", "drift_baselines", ["organisation", "task", "created_at"])
    op.create_table(
        "drift_changes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("baseline", sa.Text, nullable=False),
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("detected_at", sa.Double, nullable=False),
        sa.Column("evidence", sa.Double, nullable=False),
        sa.Column("level", sa.Double, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("ix_drift_changes_organisation_detected", "drift_changes", ["organisation", "detected_at"])
    op.create_table(
        "sample_vectors",
        sa.Column("sample", sa.Text, primary_key=True),
        sa.Column("embedder", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("ix_sample_vectors_at", "sample_vectors", ["at"])
