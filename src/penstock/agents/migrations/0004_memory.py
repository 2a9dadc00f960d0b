"""What agents remember: threads with people, and long-term memory with its words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "agents_0004"
down_revision = "agents_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_threads",
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_agent_threads"),
    )
    op.create_index("ix_agent_threads_organisation_updated_at", "agent_threads", ["organisation", "updated_at"])
    op.create_index("ix_agent_threads_organisation_person", "agent_threads", ["organisation", "person"])
    op.create_table(
        "agent_messages",
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("thread", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "thread", "number", name="pk_agent_messages"),
    )
    op.create_table(
        "agent_memories",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("embedder", sa.Text),
        sa.Column("vector", sa.LargeBinary),
    )
    op.create_index("ix_agent_memories_id", "agent_memories", ["id"], unique=True)
    op.create_index("ix_agent_memories_owner", "agent_memories", ["organisation", "scope", "owner"])
    op.create_index("ix_agent_memories_person", "agent_memories", ["organisation", "person"])
    op.create_index("ix_agent_memories_expires_at", "agent_memories", ["expires_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE INDEX ix_agent_memories_words ON agent_memories USING gin (to_tsvector('simple', text))")
        return
    # The words stand beside the rows and not twice in the file; triggers keep them together, whatever changes a row.
    op.execute(
        "CREATE VIRTUAL TABLE agent_memory_words USING fts5(text, content='agent_memories', content_rowid='number', "
        "tokenize='unicode61 remove_diacritics 2')"
    )
    op.execute(
        "CREATE TRIGGER agent_memories_added AFTER INSERT ON agent_memories BEGIN "
        "INSERT INTO agent_memory_words(rowid, text) VALUES (new.number, new.text); END"
    )
    op.execute(
        "CREATE TRIGGER agent_memories_gone AFTER DELETE ON agent_memories BEGIN "
        "INSERT INTO agent_memory_words(agent_memory_words, rowid, text) VALUES ('delete', old.number, old.text); END"
    )
