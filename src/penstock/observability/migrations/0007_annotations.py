"""What people and programs say of traces and spans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0007"
down_revision = "observability_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trace_annotations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("span_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trace_annotations"),
    )
    op.create_index("ix_trace_annotations_trace_id", "trace_annotations", ["trace_id"])
    op.create_index("ix_trace_annotations_organisation_label_id", "trace_annotations", ["organisation", "label", "id"])
