"""The tables of routing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from penstock.storage.schema import metadata

METADATA = metadata()

POLICIES = Table(
    "routing_policies",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("policy", Text, nullable=False),  # JSON, see penstock.routing.policy
    Column("arrays", LargeBinary),  # an .npz, see penstock.routing.arrays
    UniqueConstraint("organisation", "task", "number"),
    Index("ix_routing_policies_state", "state"),
)
"""A row changes in its state, and in where names lead as long as it does not say; its digest guards the arrays."""

WATCHES = Table(
    "routing_watches",
    METADATA,
    Column("policy", Text, primary_key=True),
    Column("watcher", Text, primary_key=True),
    Column("evidence", Double, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("labels", BigInteger, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("state", LargeBinary, nullable=False),  # the gamblers, see penstock.routing.watcher
    Column("unspent", Double),  # share of the kept evidence that can still be bet with
)
"""What each process that watches a policy has won so far, so that a restart begins where the last one ended."""

NUMBERS = Table(
    "routing_numbers",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("holder", Text, nullable=False),
    Column("beat_at", Double, nullable=False),  # 0 once it was let go
)
"""Which process watches under which number, where several machines share the database."""

EXPLORED = Table(
    "routing_explored",
    METADATA,
    Column("organisation", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("month", Text, primary_key=True),  # 2026-11, UTC
    Column("spent", BigInteger, nullable=False),  # micro-dollars, with what calls in flight may cost
    Column("calls", BigInteger, nullable=False),
)
"""What exploration has spent in a month, over all processes."""

CHANGES = Table(
    "routing_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
"""One row: how many changes there were, by which a process sees that another made one."""
