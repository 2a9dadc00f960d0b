"""Requests to people and validators, what they said, the policies that ask for them, and who is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0002"
down_revision = "agents_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_requests",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("ordinal", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("proposal", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("need", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("schema", sa.Text),
        sa.Column("to", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("escalates_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("valid_until", sa.Double),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_requests"),
    )
    op.create_index("ix_agent_requests_organisation_state_opened_at", "agent_requests", ["organisation", "state", "opened_at"])
    op.create_index("ix_agent_requests_state_told", "agent_requests", ["state", "told"])
    op.create_index("ix_agent_requests_run", "agent_requests", ["run"])
    op.create_table(
        "agent_request_votes",
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("voter", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("approve", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("validator", sa.Text, nullable=False),
        sa.Column("behalf", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("request", "voter", name="pk_agent_request_votes"),
    )
    op.create_table(
        "agent_policies",
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "version", name="pk_agent_policies"),
    )
    op.create_table(
        "agent_delegations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("giver", sa.Text, nullable=False),
        sa.Column("taker", sa.Text, nullable=False),
        sa.Column("team", sa.Text, nullable=False),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_agent_delegations"),
    )
    op.create_index("ix_agent_delegations_organisation_taker", "agent_delegations", ["organisation", "taker"])
    op.create_table(
        "agent_notices",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_notices"),
    )
    op.create_index("ix_agent_notices_state_next_at", "agent_notices", ["state", "next_at"])
    op.create_table(
        "agent_request_trail",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_request_trail"),
    )
    op.create_index("ix_agent_request_trail_organisation_id", "agent_request_trail", ["organisation", "id"])
