"""The tables of identity: who there is, which keys they hold, and who is signed in.

Times are Unix seconds. ``version`` of a row is the value of the change counter when the row last changed, so that a process which keeps
these rows in memory asks only for what changed since it last looked. Rows of keys are never deleted: the ledger and the records name them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from penstock.storage.schema import metadata

METADATA = metadata()

CHANGES = Table(
    "identity_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: how many changes there have been."""

ORGANISATIONS = Table(
    "organisations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("home", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
)
"""``home`` marks the organisation that runs this installation; its admins may see and change all others."""

TEAMS = Table(
    "teams",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, ForeignKey("organisations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
    UniqueConstraint("organisation", "name"),
)

PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, ForeignKey("organisations.id"), nullable=False),
    Column("team", Text, ForeignKey("teams.id"), index=True),
    Column("name", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
    UniqueConstraint("organisation", "name"),
)

PEOPLE = Table(
    "people",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, ForeignKey("organisations.id"), nullable=False),
    Column("team", Text, ForeignKey("teams.id"), index=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("created_at", Double, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
    UniqueConstraint("organisation", "email"),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("organisation", Text, ForeignKey("organisations.id"), nullable=False, index=True),
    Column("team", Text, ForeignKey("teams.id"), index=True),
    Column("project", Text, ForeignKey("projects.id"), index=True),
    Column("person", Text, ForeignKey("people.id"), index=True),
    Column("scopes", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("tasks", JSON, nullable=False),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("concurrency", BigInteger),
    Column("first", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("version", BigInteger, nullable=False, index=True),
    Column("last_used_at", Double),
)
"""``first`` marks the key that the first start made by itself; ``created_by`` is the id of the key that asked, null for a command.

``last_used_at`` is written now and then, in batches, and is no change of the key: ``version`` stays.
"""

SECRETS = Table(
    "key_secrets",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("key", Text, ForeignKey("keys.id"), nullable=False, index=True),
    Column("last4", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
)
"""SHA-256 of each secret of a key. One that was replaced by a rotation has the end of its grace as ``expires_at``."""

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("secret", LargeBinary(32), ForeignKey("key_secrets.digest"), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("version", BigInteger, nullable=False, index=True),
)
"""SHA-256 of a browser's session token, and of the key secret it was opened with. Signing out sets ``expires_at`` to that moment."""
