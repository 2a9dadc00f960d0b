from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import BigInteger, Column, Integer, Table, Text, delete, select, update

from penstock.storage.records import Records, open_records
from penstock.storage.schema import metadata
from penstock.storage.trail import Trail

METADATA = metadata()
TABLE = Table(
    "things_audit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organisation", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("digest", Text, nullable=False),
)


class Entry(msgspec.Struct, frozen=True):
    organisation: str
    action: str
    id: int = 0
    digest: str = ""


TRAIL: Trail[Entry] = Trail(TABLE, msgspec.structs.asdict, lambda entry: msgspec.structs.replace(entry, id=0, digest=""))


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    with opened.begin() as connection:
        METADATA.create_all(connection)
        for action in ("made", "scanned", "signed"):
            TRAIL.note(connection, Entry("ours", action))
            TRAIL.note(connection, Entry("theirs", action))
    yield opened
    opened.close()


def whole(connection: Any, organisation: str = "ours") -> list[Entry]:
    rows = connection.execute(select(TABLE).where(TABLE.c.organisation == organisation).order_by(TABLE.c.id)).mappings()
    return [Entry(**row) for row in rows]


def test_each_organisation_has_a_trail_of_its_own_that_is_whole(records: Records) -> None:
    with records.begin() as connection:
        for organisation in ("ours", "theirs"):
            lines = whole(connection, organisation)
            assert [line.action for line in lines] == ["made", "scanned", "signed"]
            assert TRAIL.broken(lines) is None
            assert len({line.digest for line in lines}) == 3


def test_a_line_that_was_changed_or_taken_out_is_named(records: Records) -> None:
    with records.begin() as connection:
        first, second, third = whole(connection)
        connection.execute(update(TABLE).where(TABLE.c.id == second.id).values(action="approved"))
        assert TRAIL.broken(whole(connection)) == second.id
        connection.execute(delete(TABLE).where(TABLE.c.id == second.id))
        assert TRAIL.broken(whole(connection)) == third.id
        connection.execute(delete(TABLE).where(TABLE.c.id == first.id))
        assert TRAIL.broken(whole(connection)) == third.id
        assert TRAIL.broken(whole(connection, "theirs")) is None
