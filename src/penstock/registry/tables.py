"""The registry's tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from penstock.storage.schema import metadata

METADATA = metadata()

MODELS = Table(
    "registry_models",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("organisation", "name"),
)

VERSIONS = Table(
    "registry_versions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("model", Text, ForeignKey("registry_models.id"), nullable=False),
    Column("organisation", Text, nullable=False),
    Column("home", Boolean, nullable=False),  # the organisation runs the installation
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("facts", Text, nullable=False),  # JSON
    Column("digest", Text, nullable=False),
    Column("scan", Text, nullable=False),  # JSON
    Column("signature", Text, nullable=False),  # JSON
    Column("evidence", Text, nullable=False),  # JSON
    Column("approvals", Text, nullable=False),  # JSON
    Column("makers", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    UniqueConstraint("model", "number"),
    Index("ix_registry_versions_organisation", "organisation"),
)

PROMPTS = Table(
    "registry_prompts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("labels", Text, nullable=False),  # JSON: numbers of versions by label
    Column("newest", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("organisation", "name"),
)

PROMPT_VERSIONS = Table(
    "registry_prompt_versions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("prompt", Text, ForeignKey("registry_prompts.id"), nullable=False),
    Column("organisation", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("messages", Text, nullable=False),  # JSON
    Column("variables", Text, nullable=False),  # JSON
    Column("digest", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("makers", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
    UniqueConstraint("prompt", "number"),
)
"""Nothing of a row changes after it was written, except its state."""

AUDIT = Table(
    "registry_audit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organisation", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("person", Text),
    Column("at", Double, nullable=False),
    Column("why", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_registry_audit_organisation_id", "organisation", "id"),
)
"""Append only: nothing in Penstock changes or deletes a row, and each carries a digest over itself and the one before it."""

CHANGES = Table(
    "registry_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
"""One row: how many changes there were, by which a process sees that another made one."""
