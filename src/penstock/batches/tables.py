"""The table of batches."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

BATCHES = Table(
    "batches",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("shape", Text, nullable=False),  # openai or anthropic
    Column("endpoint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("in_progress_at", Double),
    Column("finalizing_at", Double),
    Column("completed_at", Double),
    Column("failed_at", Double),
    Column("expired_at", Double),
    Column("cancelling_at", Double),
    Column("cancelled_at", Double),
    Column("archived_at", Double),
    Column("updated_at", Double, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("expired", Integer, nullable=False),
    Column("cost", BigInteger, nullable=False),  # micro-dollars of the results
    Column("full_cost", BigInteger, nullable=False, server_default="0"),  # what they would have cost in real time
    Column("rate", Double, nullable=False),  # lines a second, of late
    Column("input_file", Text),
    Column("output_file", Text),
    Column("error_file", Text),
    Column("output_lifetime", Double),  # seconds after which the output files expire
    Column("errors", Text, nullable=False),  # JSON: what was wrong with the input
    Column("codes", Text, nullable=False),  # JSON: failed lines by code
    Column("metadata", Text, nullable=False),  # JSON: the caller's
)
Index("ix_batches_organisation_shape_id", BATCHES.c.organisation, BATCHES.c.shape, BATCHES.c.id)
Index("ix_batches_status", BATCHES.c.status)
