"""The tokens of who is told of tasks, sealed and apart from the rest; and whose key had them told, so that it goes with the person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "interop_0003"
down_revision = "interop_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("a2a_pushes", sa.Column("sealed", sa.Text))
    op.add_column("a2a_pushes", sa.Column("person", sa.Text))
    op.create_index("ix_a2a_tasks_created_at", "a2a_tasks", ["created_at", "run"])
