"""The durable run, and its step, from which a call was made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "finops_0002"
down_revision = "finops_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("run", sa.Text))
    op.add_column("ledger", sa.Column("step", sa.Integer))
    of_runs = sa.text("run IS NOT NULL")
    op.create_index("ix_ledger_run", "ledger", ["run"], postgresql_where=of_runs, sqlite_where=of_runs)
