"""With which key somebody lets another one stand in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0006"
down_revision = "agents_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Delegations and approvals of before name no key, so they do not hold any more: nobody can say what their giver may do now.
    op.add_column("agent_delegations", sa.Column("key", sa.Text, nullable=False, server_default=""))
    op.add_column("agent_request_votes", sa.Column("behalf_key", sa.Text, nullable=False, server_default=""))
