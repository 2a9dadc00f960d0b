"""The tables of kept replies, of what they saved, and of how semantic hits were calibrated."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

ENTRIES = Table(
    "cache_entries",
    METADATA,
    Column("id", Text, primary_key=True),  # hex of the request's digest, which holds whose it is
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),  # empty: none
    Column("model", Text, nullable=False),  # as asked for
    Column("provider", Text, nullable=False),
    Column("provider_model", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("stream", Boolean, nullable=False),  # how the reply came
    Column("shown_usage", Boolean, nullable=False),
    Column("media", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # Unix milliseconds
    Column("expires_at", BigInteger, nullable=False),
    Column("usage", Text, nullable=False),  # JSON
    Column("reply", LargeBinary, nullable=False),
    Column("partition", LargeBinary),  # digest of everything but the last question
    Column("wording", LargeBinary),
    Column("answer", LargeBinary),
    Column("embedder", Text),
    Column("vector", LargeBinary),
)
Index("ix_cache_entries_created_at", ENTRIES.c.created_at)

CLEARED = Table(
    "cache_cleared",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),  # Unix milliseconds; what was kept before is gone
    Column("organisation", Text, nullable=False),  # empty: all
    Column("task", Text, nullable=False),
    Column("model", Text, nullable=False),
)

DAYS = Table(
    "cache_days",
    METADATA,
    Column("id", Text, primary_key=True),  # digest of the process and of the columns down to `provider_model`
    Column("day", Integer, nullable=False),  # days since 1970, UTC
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_model", Text, nullable=False),
    Column("misses", BigInteger, nullable=False),
    Column("exact", BigInteger, nullable=False),
    Column("semantic", BigInteger, nullable=False),
    Column("saved", BigInteger, nullable=False),  # micro-units, an estimate
    Column("unpriced", BigInteger, nullable=False),  # hits for whose reply no price is known
    Column("saved_input", BigInteger, nullable=False),
    Column("saved_output", BigInteger, nullable=False),
    Column("input", BigInteger, nullable=False),  # tokens that providers were sent
    Column("cached", BigInteger, nullable=False),  # of them read from the provider's own prompt cache
    Column("written", BigInteger, nullable=False),  # and written to it
    Column("discount", BigInteger, nullable=False),  # micro-units by which that changed the price
)
Index("ix_cache_days_day", DAYS.c.day)

PAIRS = Table(
    "cache_pairs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),  # Unix milliseconds
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("source", Text, nullable=False),  # traffic, or the name of what was handed in
    Column("embedder", Text, nullable=False),
    Column("similarity", Double, nullable=False),
    Column("score", Double, nullable=False),  # the similarity and its lead over the nearest question with another answer
    Column("worded", Boolean, nullable=False),  # whether both name the same numbers, negations and names
    Column("same", Boolean, nullable=False),  # whether both have the same answer
)
Index("ix_cache_pairs_task", PAIRS.c.organisation, PAIRS.c.task)

CALIBRATIONS = Table(
    "cache_calibrations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),  # Unix milliseconds
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("embedder", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("threshold", Double),  # null: the data does not support any
    Column("evidence", Text, nullable=False),  # JSON
)
Index("ix_cache_calibrations_task", CALIBRATIONS.c.organisation, CALIBRATIONS.c.task)
