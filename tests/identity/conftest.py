"""Processes on one database, as a test of identity needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.identity.process import Clock, Process, lay_out

from penstock.storage.records import open_records


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def one(database: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Process]:
    """A process on an empty database of each engine, with a home organisation."""
    records = open_records(database, tmp_path)
    lay_out(records)
    process = Process(records, clock)
    await process.owners.ensure_home()
    yield process
    records.close()


@pytest.fixture
async def other(one: Process, database: str, tmp_path: Path) -> AsyncIterator[Process]:
    """Another process on the same database, with a clock of its own; it looks for changes when the test says so."""
    clock = Clock()
    clock.now = one.clock.now
    records = open_records(database, tmp_path)
    process = Process(records, clock)
    await process.refresh.now()
    yield process
    records.close()


@pytest.fixture
async def two(one: Process, database: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Process]:
    """Another process on the same database, which looks for changes by itself."""
    records = open_records(database, tmp_path)
    process = Process(records, clock)
    await process.refresh.start()
    yield process
    await process.refresh.stop()
    records.close()


@pytest.fixture
async def alone(tmp_path: Path, clock: Clock) -> AsyncIterator[Process]:
    """A process on SQLite, for what does not depend on the engine."""
    records = open_records("", tmp_path)
    lay_out(records)
    process = Process(records, clock)
    await process.owners.ensure_home()
    yield process
    records.close()
