"""What a watch can still bet with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "routing_0002"
down_revision = "routing_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("routing_watches", sa.Column("unspent", sa.Double))
