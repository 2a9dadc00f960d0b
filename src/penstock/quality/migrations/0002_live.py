"""Samples of live traffic, feedback, and how far judges are to be trusted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "quality_0002"
down_revision = "quality_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quality_samples",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("propensity", sa.Double, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("cost", sa.BigInteger),
        sa.Column("latency_ms", sa.Double),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("judge", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("judging_cost", sa.BigInteger, nullable=False),
        sa.Column("judged_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_quality_samples"),
    )
    op.create_index("ix_quality_samples_item", "quality_samples", ["item"])
    op.create_index("ix_quality_samples_organisation_task_at", "quality_samples", ["organisation", "task", "at"])
    op.create_index("ix_quality_samples_state_organisation", "quality_samples", ["state", "organisation"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("call", sa.Text),
        sa.Column("evaluation", sa.Text),
        sa.Column("item", sa.Text),
        sa.Column("candidate", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_call", "feedback", ["call"])
    op.create_index("ix_feedback_evaluation", "feedback", ["evaluation"])
    op.create_index("ix_feedback_organisation_created", "feedback", ["organisation", "created_at"])
    op.create_table(
        "judge_checks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("judge", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("evaluation", sa.Text),
        sa.Column("trusted", sa.Boolean, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_judge_checks"),
    )
    op.create_index("ix_judge_checks_organisation_digest", "judge_checks", ["organisation", "digest"])
