"""What the tables of all capabilities share: how constraints are named and how JSON columns are written."""

from __future__ import annotations

import msgspec
from sqlalchemy import MetaData

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints need the same name on every engine, or a later migration cannot find them."""


def metadata() -> MetaData:
    """A capability's own collection of tables. Foreign keys never cross capabilities: each migrates on its own."""
    return MetaData(naming_convention=NAMING)


def encode_json(value: object) -> str:
    """The text of a JSON column; takes Structs, enums and sets besides plain values."""
    return msgspec.json.encode(value).decode()
