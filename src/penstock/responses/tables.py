"""The table of stored responses: one row for each turn."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, LargeBinary, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

TURNS = Table(
    "responses_turns",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("previous", Text),  # the turn that this one follows
    Column("model", Text, nullable=False),  # as the caller named it
    Column("created_at", Double, nullable=False),  # Unix seconds
    Column("expires_at", Double, nullable=False),
    Column("created_by", Text),  # the id of a key
    Column("input", LargeBinary, nullable=False),  # this turn's input items, a JSON list
    Column("response", LargeBinary, nullable=False),  # the response as the client got it, a JSON object
    Index("ix_responses_turns_expires_at", "expires_at"),
)
