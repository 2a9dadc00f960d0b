"""Whose key began a task over A2A, so that what the person said goes when the person is erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "interop_0002"
down_revision = "interop_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("a2a_tasks", sa.Column("person", sa.Text))
