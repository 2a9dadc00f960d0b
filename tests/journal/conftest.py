"""A journal on each engine, opened once for a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.conftest import drop_database, fresh_database

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

SETTINGS = JournalSettings(poll_seconds=0.02, lease_seconds=1.0)


def migrated(url: str, folder: Path) -> None:
    """Make the journal's own table where several processes share it."""
    if url:
        records = open_records(url, folder)
        migrate(records, ("penstock.journal.migrations",))
        records.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database of each engine; empty for SQLite."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgres_server")
    url = fresh_database(server)
    yield url
    drop_database(server, url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def journal(place: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JournalService]:
    folder = tmp_path_factory.mktemp("journal")
    migrated(place, folder)
    opened = JournalService(SETTINGS, place, folder)
    await opened.begin()
    try:
        yield opened
    finally:
        await opened.close()
