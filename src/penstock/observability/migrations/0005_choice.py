"""Why the models of a call were chosen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0005"
down_revision = "observability_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("choice", sa.Text))
