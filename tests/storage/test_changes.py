from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import BigInteger, Column, Integer, Table, insert

from penstock.storage.changes import ChangeCount
from penstock.storage.records import open_records
from penstock.storage.schema import metadata

METADATA = metadata()
TABLE = Table("things_changes", METADATA, Column("id", Integer, primary_key=True), Column("version", BigInteger, nullable=False))


async def test_changes_that_come_at_once_are_all_counted_each_with_a_number_of_its_own(database: str, tmp_path: Path) -> None:
    records, changes = open_records(database, tmp_path), ChangeCount(TABLE)
    with records.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(insert(TABLE).values(id=1, version=0))
    assert await records.read(changes.counted) == 0
    assert sorted(await asyncio.gather(*(records.write(changes.bump) for _ in range(10)))) == list(range(1, 11))
    assert await records.read(changes.counted) == 10
    records.close()
