"""The trail of who opened prompts and replies; a call is found by its person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0008"
down_revision = "observability_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payload_access",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text()),
        sa.Column("reader_organisation", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payload_access"),
    )
    op.create_index("ix_payload_access_organisation_id", "payload_access", ["organisation", "id"])
    op.create_index("ix_payload_access_subject", "payload_access", ["subject", "id"])
    count = op.create_table(
        "payload_access_count",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payload_access_count"),
    )
    op.bulk_insert(count, [{"id": 1, "version": 0}])
    some = sa.text("person IS NOT NULL")
    op.create_index("ix_calls_person", "calls", ["person"], postgresql_where=some, sqlite_where=some)
