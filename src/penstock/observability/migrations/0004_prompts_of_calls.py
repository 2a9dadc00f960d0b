"""Which stored prompt a call named."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0004"
down_revision = "observability_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("prompt", sa.Text()))
