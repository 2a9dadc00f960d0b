"""Which model gave an answer, and which registered version stood behind it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "quality_0005"
down_revision = "quality_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("evaluation_answers", "evaluation_scores", "quality_samples"):
        for column in ("answered_by", "version"):
            op.add_column(table, sa.Column(column, sa.Text, nullable=False, server_default=""))
