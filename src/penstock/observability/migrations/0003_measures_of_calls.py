"""What calls used beside tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0003"
down_revision = "observability_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("measures", sa.Text()))
