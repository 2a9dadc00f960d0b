"""What one process commits, another takes in; and what happens while the database does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection
from tests.identity.process import Process

from penstock.identity import refresh
from penstock.identity.keys import NewKey
from penstock.identity.refresh import Refresh
from penstock.kernel.errors import StorageError, Unauthenticated
from penstock.storage.records import Records

T = TypeVar("T")


class Failing:
    """A database in front of a real one, which does not answer while ``down``."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.dialect, self.place = records.dialect, records.place
        self.down = False
        self.asked = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.asked += 1
        if self.down:
            raise StorageError("the database does not answer")
        return await self._records.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self.down:
            raise StorageError("the database does not answer")
        return await self._records.write(work)

    def snapshot(self) -> AbstractContextManager[Connection]:
        return self._records.snapshot()

    def begin(self) -> AbstractContextManager[Connection]:
        return self._records.begin()

    def begin_migration(self) -> AbstractContextManager[Connection]:
        return self._records.begin_migration()

    def close(self) -> None:
        self._records.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def knows(process: Process, secret: str) -> bool:
    try:
        process.who(secret)
    except Unauthenticated:
        return False
    return True


async def test_a_key_made_elsewhere_works_here_soon_and_one_revoked_elsewhere_stops(one: Process, two: Process) -> None:
    made = await one.keys.create(None, NewKey(name="travels"))
    await until(lambda: knows(two, made.secret))
    await one.keys.revoke(None, made.key.id)
    await until(lambda: two.revoked == [made.key.id])
    assert not knows(two, made.secret)


async def test_a_session_opened_elsewhere_is_known_and_one_closed_elsewhere_is_not(one: Process, two: Process) -> None:
    made = await one.reader()
    token, _ = await one.sessions.open(made.secret)
    await until(lambda: two.sessions.principal(token) is not None)
    await two.sessions.close(token)
    await one.refresh.now()
    assert one.sessions.principal(token) is None


async def test_a_database_restored_to_an_older_state_is_taken_over_whole(one: Process) -> None:
    kept = await one.keys.create(None, NewKey(name="kept"))
    before = await version(one)
    gone = await one.keys.create(None, NewKey(name="made after the backup"))

    def restore(connection: Any) -> None:
        for table, column in (("key_secrets", "key"), ("keys", "id")):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = '{gone.key.id}'")
        connection.exec_driver_sql(f"UPDATE identity_changes SET version = {before}")

    await one.records.write(restore)
    await one.refresh.now()
    assert one.who(kept.secret)
    with pytest.raises(Unauthenticated):
        one.who(gone.secret)


async def version(process: Process) -> int:
    return await process.records.read(lambda c: c.exec_driver_sql("SELECT version FROM identity_changes").scalar_one())


async def test_a_start_without_a_database_is_refused(alone: Process) -> None:
    records = Failing(alone.records)
    records.down = True
    with pytest.raises(StorageError, match="does not answer"):
        await Refresh(records, alone.keyring, alone.sessions, 0.01).start()


async def test_while_the_database_is_away_keys_go_on_and_their_age_is_told(alone: Process, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = await alone.keys.create(None, NewKey(name="goes on"))
    records = Failing(alone.records)
    watched = Refresh(records, alone.keyring, alone.sessions, 0.001)
    await watched.start()

    def said(words: str) -> int:
        return sum(words in record.message for record in caplog.records)

    try:
        records.down, asked = True, records.asked
        await until(lambda: records.asked > asked + 3)
        # Said once, however often it is tried.
        assert said("keys cannot be refreshed") == 1
        assert knows(alone, made.secret)
        (metric,) = watched.metrics()
        assert metric.name == "penstock_keys_age_seconds"
        assert 0 < metric.samples[0][1] < 30
        records.down = False
        await until(lambda: said("keys are refreshed again") == 1)
        assert knows(alone, made.secret)
    finally:
        await watched.stop()
    stopped = records.asked
    await watched.stop()
    assert records.asked == stopped


async def test_what_only_this_process_knows_is_written_now_and_then_and_at_the_end(alone: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "FLUSH_SECONDS", 0.0)
    made = await alone.keys.create(None, NewKey(name="used"))
    alone.who(made.secret)
    watched = Refresh(alone.records, alone.keyring, alone.sessions, 0.001)
    await watched.start()
    await until(lambda: not alone.keyring.used)
    monkeypatch.setattr(refresh, "FLUSH_SECONDS", 1e9)
    await watched.stop()
    watched = Refresh(alone.records, alone.keyring, alone.sessions, 0.001)
    await watched.start()
    alone.who(made.secret)
    assert alone.keyring.used
    await watched.stop()
    assert not alone.keyring.used
