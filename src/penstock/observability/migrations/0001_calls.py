"""Calls, their payloads, and the summaries behind the overview."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "observability_0001"
down_revision = None
branch_labels = ("observability",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("organisation", sa.Text()),
        sa.Column("team", sa.Text()),
        sa.Column("project", sa.Text()),
        sa.Column("person", sa.Text()),
        sa.Column("key_id", sa.Text()),
        sa.Column("task", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text()),
        sa.Column("provider_model", sa.Text()),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("queued_ms", sa.Double, nullable=False),
        sa.Column("first_token_ms", sa.Double),
        sa.Column("total_ms", sa.Double, nullable=False),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("cached_tokens", sa.BigInteger()),
        sa.Column("cache_written_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("audio_tokens", sa.BigInteger()),
        sa.Column("usage_estimated", sa.Boolean()),
        sa.Column("cost_micros", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.Column("priced", sa.Boolean()),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("span_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text()),
        sa.Column("labels", sa.Text()),
        sa.Column("attempts", sa.Text()),
        sa.Column("stages", sa.Text()),
        sa.Column("verdicts", sa.Text()),
        sa.Column("notes", sa.Text()),
        sa.Column("payload", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    not_ok, traced = sa.text("outcome <> 'ok'"), sa.text("parent_id IS NOT NULL")
    op.create_index("ix_calls_not_ok", "calls", ["id"], sqlite_where=not_ok, postgresql_where=not_ok)
    op.create_index("ix_calls_trace", "calls", ["trace_id"], sqlite_where=traced, postgresql_where=traced)
    op.create_table(
        "call_payloads",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_payloads"),
    )
    op.create_table(
        "call_summaries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in (
                "organisation",
                "team",
                "project",
                "key_id",
                "task",
                "model",
                "provider",
                "operation",
                "outcome",
                "error_code",
                "currency",
            )
        ),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("calls", "input_tokens", "output_tokens", "cost_micros", "unpriced")
        ),
        sa.Column("total_ms", sa.Text(), nullable=False),
        sa.Column("first_token_ms", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_summaries"),
    )
    op.create_index("ix_call_summaries_period", "call_summaries", ["period"])


def downgrade() -> None:
    op.drop_table("call_summaries")
    op.drop_table("call_payloads")
    op.drop_table("calls")
