from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

from penstock.kernel.errors import StorageError
from penstock.storage.carry import Carrier
from penstock.storage.records import Records, open_records
from penstock.storage.spool import Spool


def carrier(records: Records, taken: list[list[int]], *, fails: bool = False) -> Carrier[int]:
    def write(connection: Connection, rows: list[int]) -> int:
        connection.execute(text("SELECT 1"))
        if fails:
            raise StorageError("the disk is gone")
        taken.append(rows)
        return len(rows)

    decode = msgspec.msgpack.Decoder(int).decode
    return Carrier(records, decode, write, logger=logging.getLogger("penstock.test"), lost="a number cannot be read")


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    for entry in (b"\x07", b"\xc1", b"\x08"):  # 0xc1 is the one byte that msgpack never uses
        spool.hold()
        spool.append(entry)
    return spool


def test_what_cannot_be_read_is_counted_and_said_and_the_rest_arrives(
    records: Records, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[list[int]] = []
    moving = carrier(records, taken)
    assert moving.carry(spool) == 2
    assert taken == [[7, 8]]
    assert (moving.unreadable, caplog.messages) == (1, ["a number cannot be read"])
    assert moving.carry(spool) == 0
    spool.close()


def test_what_the_table_did_not_take_stays_in_the_spool(records: Records, spool: Spool) -> None:
    taken: list[list[int]] = []
    with pytest.raises(StorageError, match="the disk is gone"):
        carrier(records, taken, fails=True).carry(spool)
    assert taken == []
    assert carrier(records, taken).carry(spool) == 2
    spool.close()
