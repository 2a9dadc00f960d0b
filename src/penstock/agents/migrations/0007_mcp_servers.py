"""Which tools of MCP servers are trusted, and who consented to what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0007"
down_revision = "agents_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_mcp_tools",
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("pin", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("server", "tool", name="pk_agent_mcp_tools"),
    )
    op.create_table(
        "agent_mcp_consents",
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("busy_until", sa.Double),
        sa.PrimaryKeyConstraint("server", "organisation", "person", name="pk_agent_mcp_consents"),
    )
    op.create_table(
        "agent_mcp_begun",
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("state", name="pk_agent_mcp_begun"),
    )
    op.create_table(
        "agent_mcp_clients",
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("redirect", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("server", "issuer", "redirect", name="pk_agent_mcp_clients"),
    )
