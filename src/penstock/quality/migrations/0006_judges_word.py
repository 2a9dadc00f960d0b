"""What a judge said of a sample stays beside what a person said, so that both can be compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "quality_0006"
down_revision = "quality_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quality_samples", sa.Column("model_score", sa.Double))
    op.add_column("quality_samples", sa.Column("model_judge", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_quality_samples_at", "quality_samples", ["at"])
    op.execute(
        "UPDATE quality_samples SET model_score = score, model_judge = judge"
        " WHERE state = 'judged' AND score IS NOT NULL AND judge NOT IN ('human', 'outcome', '')"
    )
