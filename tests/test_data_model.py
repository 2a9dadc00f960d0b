"""docs/data-model.md says of every table and column what it is, and of none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from penstock.app import capabilities
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

PAGE = Path(__file__).parent.parent / "docs" / "data-model.md"
Columns = dict[str, bool]
"""Names of columns, and whether each may be null."""


def documented(page: str) -> dict[str, Columns]:
    """Tables are headed by their name in backticks; the first cell of a line names columns, with a question mark when they may be null."""
    tables: dict[str, Columns] = {}
    for section in re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]:
        named = re.match(r"`(\w+)`\n", section)
        if named is not None:
            found = [found for line in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for found in re.findall(r"`(\w+)`(\??)", line)]
            assert len(found) == len({name for name, _ in found}), f"{named[1]} has a column twice"
            tables[named[1]] = {name: mark == "?" for name, mark in found}
    return tables


def stored(records: Records) -> dict[str, Columns]:
    with records.snapshot() as connection:
        look = inspect(connection)
        indexes: list[str] = []  # SQLite's full text: tables of its own, which are no truth of ours
        if connection.dialect.name == "sqlite":
            indexes = list(connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'")).scalars())
        names = [name for name in look.get_table_names() if not any(name == one or name.startswith(f"{one}_") for one in indexes)]
        return {table: {c["name"]: bool(c["nullable"]) for c in look.get_columns(table)} for table in names}


def missing(page: dict[str, Columns], database: dict[str, Columns]) -> list[str]:
    """What one says and the other does not."""
    lines = [f"{table} is not in the docs" for table in database.keys() - page.keys()]
    lines += [f"{table} is not in the database" for table in page.keys() - database.keys()]
    for table in page.keys() & database.keys():
        here, there = page[table], database[table]
        lines += [f"{table}.{column} is not in the docs" for column in there.keys() - here.keys()]
        lines += [f"{table}.{column} is not in the database" for column in here.keys() - there.keys()]
        lines += [f"{table}.{column} may be null or not" for column in here.keys() & there.keys() if here[column] != there[column]]
    return sorted(lines)


@pytest.fixture
def tables(database: str, tmp_path: Path) -> dict[str, Columns]:
    records = open_records(database, tmp_path)
    migrate(records, [c.migrations for c in capabilities() if c.migrations is not None])
    found = stored(records)
    records.close()
    return found


def test_the_page_says_what_the_database_has(tables: dict[str, Columns]) -> None:
    assert missing(documented(PAGE.read_text("utf-8")), tables) == []


def test_what_is_missing_would_be_told(tables: dict[str, Columns]) -> None:
    page = PAGE.read_text("utf-8")
    for old, new, told in (
        ("### `budgets`", "### Budgets", ["budgets is not in the docs"]),
        ("| `alerts` |", "| alerts |", ["budgets.alerts is not in the docs"]),
        ("| `corrects`? |", "| `corects`? |", ["ledger.corects is not in the database", "ledger.corrects is not in the docs"]),
        ("| `reason`? |", "| `reason` |", ["ledger.reason may be null or not"]),
        ("## Files", "### `dreams`\n\n| `id` | none |\n\n## Files", ["dreams is not in the database"]),
    ):
        assert page.count(old) == 1
        assert missing(documented(page.replace(old, new)), tables) == told


def test_files_of_the_data_folder_are_named(tables: dict[str, Columns]) -> None:
    from penstock.finops.pricelist import REFRESHED_NAME
    from penstock.finops.tables import SPOOL
    from penstock.storage.records import DATABASE_FILE

    page = PAGE.read_text("utf-8")
    for name in (DATABASE_FILE, f"{SPOOL}/", REFRESHED_NAME):
        assert f"`{name}`" in page
