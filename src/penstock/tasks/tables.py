"""The tables of tasks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text, UniqueConstraint

from penstock.storage.schema import metadata

METADATA = metadata()

TASKS = Table(
    "tasks",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("declaration", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("changed_by", Text, nullable=False),
    UniqueConstraint("organisation", "name"),
)
"""Tasks that organisations declared over the API; those of the settings are not stored."""

AUDIT = Table(
    "tasks_audit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("changes", Text, nullable=False),  # JSON, by field what was and what is
    Column("by", Text, nullable=False),
    Column("person", Text),
    Column("at", Double, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_tasks_audit_organisation_id", "organisation", "id"),
)
"""Append only: nothing in Penstock changes or deletes a row, and each carries a digest over itself and the one before it."""

CHANGES = Table(
    "tasks_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
"""One row: how many changes there were, by which a process sees that another made one."""
