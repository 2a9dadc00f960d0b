"""The schema of every capability: fresh, up to date, behind, ahead, from two processes at once, and equal to what the code says."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from penstock.app import capabilities, migration_packages
from penstock.kernel.errors import SchemaMismatch, StorageError
from penstock.storage.migrations import migrate, verify
from penstock.storage.records import Records, open_records

PACKAGES = migration_packages(capabilities())
TABLES = {
    name: f"penstock.{name}.tables"
    for name in ("identity", "finops", "observability", "journal", "files", "batches", "responses", "registry")
}


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    yield opened
    opened.close()


def test_looking_changes_nothing(records: Records, tmp_path: Path) -> None:
    state = verify(records, PACKAGES)
    assert not state.ready
    assert "penstock migrate" in state.explain()
    assert not verify(records, PACKAGES).ready
    assert not list(tmp_path.glob("*.db"))


def test_a_fresh_database_is_brought_up_to_date_once(records: Records) -> None:
    lacking = verify(records, PACKAGES).behind
    assert len(lacking) >= len(PACKAGES)
    assert migrate(records, PACKAGES) == lacking
    assert verify(records, PACKAGES).ready
    assert migrate(records, PACKAGES) == ()


def test_migrations_make_what_the_code_describes(records: Records) -> None:
    migrate(records, PACKAGES)
    with records.begin() as connection:
        for module in TABLES.values():
            described = importlib.import_module(module).METADATA
            own = set(described.tables)

            def ours(thing: object, name: str | None, kind: str, reflected: bool, other: object, own: set[str] = own) -> bool:
                return kind != "table" or name in own

            context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
            assert compare_metadata(context, described) == []


def test_a_database_of_a_newer_version_is_left_alone(records: Records) -> None:
    migrate(records, PACKAGES)
    with records.begin() as connection:
        table = connection.execute(text("SELECT count(*) FROM penstock_versions")).scalar_one() if False else None
        del table
        connection.execute(text("UPDATE alembic_version SET version_num = 'finops_9999' WHERE version_num LIKE 'finops_%'"))
    state = verify(records, PACKAGES)
    assert not state.ready
    assert "finops_9999" in state.explain()
    with pytest.raises((SchemaMismatch, StorageError), match="finops_9999"):
        migrate(records, PACKAGES)


MIGRATE = """
import sys
from pathlib import Path
from penstock.app import capabilities, migration_packages
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records
records = open_records(sys.argv[1], Path(sys.argv[2]))
print(len(migrate(records, migration_packages(capabilities()))))
"""


@pytest.mark.timeout(60)
def test_two_processes_migrate_once(records: Records, database: str, tmp_path: Path) -> None:
    lacking = len(verify(records, PACKAGES).behind)
    command = [sys.executable, "-c", MIGRATE, database, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    done = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], done
    assert sorted(int(out) for out, _ in done) == [0, 0, lacking]
    assert verify(records, PACKAGES).ready
