"""What each process may still spend of a budget before it asks again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "finops_0003"
down_revision = "finops_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budget_shares",
        sa.Column("budget", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("begin", sa.Double, nullable=False),
        sa.Column("share", sa.BigInteger, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("budget", "process"),
    )
