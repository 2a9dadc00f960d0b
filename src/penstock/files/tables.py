"""The table of files."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

FILES = Table(
    "files_files",
    METADATA,
    Column("id", Text, primary_key=True),  # also the name of the blob
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("media", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 in hex
    Column("created_at", Double, nullable=False),  # Unix seconds
    Column("expires_at", Double),  # NULL: kept until deleted
    Column("created_by", Text),  # the id of a key, or of a run
    Index("ix_files_files_organisation_id", "organisation", "id"),
    Index("ix_files_files_expires_at", "expires_at"),
)
