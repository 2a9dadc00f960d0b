"""Entries in memory and in the database, on both engines; several processes on one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cache.test_index import entry
from tests.cache.test_neighbours import unit

from penstock.cache.settings import CacheSettings
from penstock.cache.shelf import PAGE, Shelf
from penstock.cache.tally import Tally
from penstock.kernel.errors import StorageError
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def records(database: str, tmp_path: Path) -> Any:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.cache.migrations",))
    yield opened
    opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shelf(records: Records, clock: Clock, **more: Any) -> Shelf:
    return Shelf(records, CacheSettings(**more), Tally(), clock)


async def test_what_one_keeps_another_finds(records: Records) -> None:
    clock = Clock()
    one, other = shelf(records, clock), shelf(records, clock)
    await other.load()
    kept = entry(1, created=100.0, partition=b"part", vector=unit(1), wording=b"w", answer=b"a", embedder="e")
    one.put(kept)
    assert one.waiting == 1
    await one.flush()
    assert one.waiting == 0
    await other.look()
    assert other.index.get(b"1", 100.0) == kept
    assert other.index.nearest(b"part", unit(1), 100.0) is not None
    late = shelf(records, clock)
    await late.load()
    assert late.index.get(b"1", 100.0) == kept


async def test_what_one_clears_is_gone_everywhere(records: Records) -> None:
    clock = Clock()
    one, other = shelf(records, clock), shelf(records, clock)
    await one.load()
    await other.load()
    for number, task in ((1, "a"), (2, "b")):
        one.put(entry(number, task=task, created=100.0))
    one.put(entry(3, task="a", organisation="org_2", created=100.0))
    await one.flush()
    await other.look()
    assert len(other.index) == 3
    clock.now = 101.0
    assert await one.clear("org_1", "a", "") == 1
    await other.look()
    for each in (one, other):
        assert sorted(e.key for e in each.index.entries()) == [b"2", b"3"]
    clock.now = 102.0
    one.put(entry(1, task="a", created=102.0))
    await one.flush()
    await other.look()
    assert b"1" in other.index
    assert await one.clear("", "", "") == 3


async def test_what_leaves_memory_leaves_the_database(records: Records) -> None:
    clock = Clock()
    one = shelf(records, clock, max_entries=2)
    for number in range(4):
        one.put(entry(number, created=100.0 + number))
        await one.flush()
    late = shelf(records, clock)
    await late.load()
    assert sorted(e.key for e in late.index.entries()) == [b"2", b"3"]
    clock.now = 2_000.0
    await one.flush()
    later = shelf(records, Clock())
    await later.load()
    assert len(later.index) == 0


async def test_the_latest_come_back_as_far_as_there_is_room(records: Records) -> None:
    clock = Clock()
    one = shelf(records, clock)
    for number in range(PAGE + 20):
        one.put(entry(number, created=100.0 + number, expires=10_000.0))
    await one.flush()
    small = shelf(records, clock, max_entries=5)
    await small.load()
    assert [e.key for e in small.index.entries()] == [str(PAGE + 15 + i).encode() for i in range(5)]
    whole = shelf(records, clock)
    await whole.load()
    assert len(whole.index) == PAGE + 20


async def test_what_could_not_be_written_waits(tmp_path: Path) -> None:
    records = open_records("", tmp_path)  # without its tables
    one = shelf(records, Clock())
    one.put(entry(1))
    with pytest.raises(StorageError):
        await one.flush()
    assert one.waiting == 1
    migrate(records, ("penstock.cache.migrations",))
    await one.flush()
    assert one.waiting == 0
    records.close()


async def test_what_is_cleared_while_entries_are_taken_in_stays_gone(records: Records) -> None:
    clock, read, go = Clock(), asyncio.Event(), asyncio.Event()

    class Slow:
        """Records that are read and told later, as on a busy machine."""

        write = records.write

        async def read(self, ask: Callable[[Any], Any]) -> Any:
            told = await records.read(ask)
            read.set()
            await go.wait()
            return told

    one = shelf(records, clock)
    one.put(entry(1, created=100.0))
    await one.flush()
    for take in (Shelf.load, Shelf.look):
        slow: Any = Slow()
        other = shelf(slow, clock)
        await other.flush()
        read.clear()
        go.clear()
        taking = asyncio.create_task(take(other))
        await read.wait()
        clearing = asyncio.create_task(other.clear("", "", ""))
        await records.read(lambda c: None)  # time in which a clear that does not wait would be over
        go.set()
        await asyncio.gather(taking, clearing)
        assert len(other.index) == 0
        one.put(entry(1, created=100.0))
        await one.flush()
