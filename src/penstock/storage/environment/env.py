"""What Alembic runs for `penstock.storage.migrations.migrate`: every pending revision, in the transaction that the caller holds."""

from __future__ import annotations

from alembic import context

# SQLite can roll a change of schema back, although Alembic by default does not count on it.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
