"""What a batch would have cost in real time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "batches_0002"
down_revision = "batches_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("full_cost", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE batches SET full_cost = cost")
