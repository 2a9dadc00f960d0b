"""Responses that are worked on in the background, what was told of them meanwhile, and conversations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "responses_0002"
down_revision = "responses_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("responses_turns", sa.Column("person", sa.Text))
    op.create_index("ix_responses_turns_person", "responses_turns", ["organisation", "person"])
    op.create_table(
        "responses_jobs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("person", sa.Text),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("previous", sa.Text),
        sa.Column("conversation", sa.Text),
        sa.Column("run", sa.Text),
        sa.Column("agent_run", sa.Text),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("thread", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_responses_jobs"),
    )
    op.create_index("ix_responses_jobs_status", "responses_jobs", ["status"])
    op.create_index("ix_responses_jobs_expires_at", "responses_jobs", ["expires_at"])
    op.create_index("ix_responses_jobs_person", "responses_jobs", ["organisation", "person"])
    op.create_table(
        "responses_events",
        sa.Column("response", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("response", "number", name="pk_responses_events"),
    )
    op.create_index("ix_responses_events_at", "responses_events", ["at"])
    op.create_table(
        "responses_conversations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("person", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_responses_conversations"),
    )
    op.create_index("ix_responses_conversations_used_at", "responses_conversations", ["used_at"])
    op.create_index("ix_responses_conversations_person", "responses_conversations", ["organisation", "person"])
    op.create_table(
        "responses_items",
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("response", sa.Text),
        sa.Column("item", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("conversation", "number", name="pk_responses_items"),
    )
    op.create_index("ix_responses_items_id", "responses_items", ["conversation", "id"])
