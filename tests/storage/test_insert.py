"""Many rows in few statements: all of them, once, NULLs where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, Table, Text, select

from penstock.storage.insert import PIECES, insert_new
from penstock.storage.records import Records, open_records
from penstock.storage.schema import metadata

_TABLES = metadata()
NOTES = Table("insert_notes", _TABLES, Column("id", Text, primary_key=True), Column("order", Integer), Column("said", Text))
_COLUMNS = ("id", "order", "said")


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    with opened.begin() as connection:
        NOTES.create(connection)
    yield opened
    opened.close()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 65, 64 * 3 + 16 + 4 + 2])
def test_every_row_arrives_whatever_the_pieces(records: Records, count: int) -> None:
    rows = [(f"note-{n:04}", n, f"said {n}") for n in range(count)]
    with records.begin() as connection:
        assert insert_new(connection, NOTES.name, _COLUMNS, rows) == count
    with records.snapshot() as connection:
        assert [tuple(row) for row in connection.execute(select(NOTES).order_by(NOTES.c.id))] == rows


def test_only_what_is_new_counts_and_nothing_is_overwritten(records: Records) -> None:
    first = [(f"note-{n:04}", n, "first") for n in range(70)]
    again = [(f"note-{n:04}", n, "again") for n in range(60, 140)]
    with records.begin() as connection:
        insert_new(connection, NOTES.name, _COLUMNS, first)
        # Twice within one batch too, as when a spool is delivered again.
        assert insert_new(connection, NOTES.name, _COLUMNS, [*again, *again]) == 70
    with records.snapshot() as connection:
        said = [row.said for row in connection.execute(select(NOTES).order_by(NOTES.c.id))]
    assert said == ["first"] * 70 + ["again"] * 70


def test_an_empty_text_is_null_where_that_was_said(records: Records) -> None:
    if records.dialect != "sqlite":
        pytest.skip("PostgreSQL is given None")
    with records.begin() as connection:
        insert_new(connection, NOTES.name, _COLUMNS, [("note", "", "")], absent=frozenset({"order"}))
    with records.snapshot() as connection:
        assert connection.execute(select(NOTES.c.order, NOTES.c.said)).one() == (None, "")


def test_the_pieces_reach_every_count() -> None:
    assert PIECES[-1] == 1
    assert list(PIECES) == sorted(PIECES, reverse=True)
