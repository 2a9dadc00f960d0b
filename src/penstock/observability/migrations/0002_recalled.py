"""Where the reply of a call came from that no provider was asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0002"
down_revision = "observability_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("recalled", sa.Text))
