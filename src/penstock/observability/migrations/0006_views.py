"""Views: addresses of console pages that someone gave a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0006"
down_revision = "observability_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_views",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("ix_console_views_path", "console_views", ["organisation", "path"])
