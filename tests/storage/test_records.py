"""What every engine of records promises; one fixture an engine (``database`` in tests/conftest.py)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, Table, Text, insert, select, update

from penstock.kernel.errors import Conflict, RequestError, SchemaMismatch, SettingsError, StorageError
from penstock.storage.records import Records, open_records
from penstock.storage.schema import metadata

METADATA = metadata()
THINGS = Table("things", METADATA, Column("id", Integer, primary_key=True), Column("name", Text, unique=True), Column("n", Integer))


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    with opened.begin() as connection:
        METADATA.create_all(connection)
    yield opened
    opened.close()


def add(id: int, name: str = "", n: int = 0) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(insert(THINGS).values(id=id, name=name or f"thing {id}", n=n))
        return id

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(THINGS.c.name).order_by(THINGS.c.id)).scalars())


async def test_what_was_written_is_read(records: Records) -> None:
    assert await records.write(add(1)) == 1
    assert await records.read(names) == ["thing 1"]
    with records.begin() as connection:
        add(2)(connection)
    with records.snapshot() as connection:
        assert names(connection) == ["thing 1", "thing 2"]


async def test_a_transaction_that_raises_leaves_nothing(records: Records) -> None:
    def work(connection: Connection) -> None:
        add(1)(connection)
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        await records.write(work)
    with pytest.raises(LookupError), records.begin() as connection:
        work(connection)
    assert await records.read(names) == []


async def test_a_clash_says_so(records: Records) -> None:
    await records.write(add(1, "hunter2"))
    with pytest.raises(Conflict) as fault:
        await records.write(add(2, "hunter2"))
    assert fault.value.status == 409
    assert "clashes with what is stored" in fault.value.message


async def test_a_value_that_cannot_be_kept_is_the_callers_fault_and_nothing_to_try_again(records: Records) -> None:
    values = [add(1, n=2**70)]
    if records.dialect == "postgresql":
        values += [add(1, n=2**40), add(1, "a\0b")]
    for work in values:
        with pytest.raises(RequestError, match="cannot hold a value") as fault:
            await records.write(work)
        assert (fault.value.status, fault.value.retry_after) == (400, None)
    assert await records.read(names) == []


async def test_a_missing_table_or_column_is_a_schema_that_does_not_match(records: Records) -> None:
    for statement in ("SELECT * FROM absent", "SELECT colour FROM things"):
        with pytest.raises(SchemaMismatch) as fault:
            await records.read(lambda c, s=statement: c.exec_driver_sql(s))
        assert "penstock migrate" in fault.value.message


async def test_a_database_without_anything_is_a_schema_that_does_not_match(database: str, tmp_path: Path) -> None:
    opened = open_records(database, tmp_path)
    try:
        with pytest.raises(SchemaMismatch, match="penstock migrate"):
            await opened.read(names)
    finally:
        opened.close()
    assert not list(tmp_path.iterdir())


OTHER = """
import sys
from pathlib import Path
from sqlalchemy import text
from penstock.storage.records import open_records
records = open_records(sys.argv[1], Path(sys.argv[2]))
with records.begin() as connection:
    connection.execute(text("INSERT INTO things (id, name, n) VALUES (2, 'theirs', 0)"))
records.close()
"""


def test_what_another_process_does_and_its_end_lose_nothing_of_this_ones(records: Records, database: str, tmp_path: Path) -> None:
    records.close()
    # As a later start does it: first a look at what is there, then the first write.
    again = open_records(database, tmp_path)
    with again.snapshot() as connection:
        assert names(connection) == []
    with again.begin() as connection:
        add(1)(connection)
    subprocess.run([sys.executable, "-c", OTHER, database, str(tmp_path)], check=True)
    with again.begin() as connection:
        add(3)(connection)
    # Somebody else sees it at once; a log that only this process still holds would be lost with it.
    other = open_records(database, tmp_path)
    with other.snapshot() as connection:
        assert names(connection) == ["thing 1", "theirs", "thing 3"]
    other.close()
    again.close()


async def test_reading_does_not_write(records: Records) -> None:
    with pytest.raises(StorageError):
        await records.read(add(1))
    assert await records.read(names) == []


async def test_writers_that_read_first_lose_no_update(records: Records) -> None:
    await records.write(add(1))

    def count(connection: Connection) -> None:
        seen = connection.execute(select(THINGS.c.n).where(THINGS.c.id == 1)).scalar_one()
        connection.execute(update(THINGS).values(n=seen + 1))

    await asyncio.gather(*(records.write(count) for _ in range(25)))
    assert await records.read(lambda c: c.execute(select(THINGS.c.n)).scalar_one()) == 25


async def test_a_reader_sees_one_moment(records: Records) -> None:
    await records.write(add(1))
    with records.snapshot() as connection:
        before = names(connection)
        await records.write(add(2))
        assert names(connection) == before
    assert len(await records.read(names)) == 2


async def test_many_threads_at_once(records: Records) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(5):
                with records.begin() as connection:
                    add(number * 100 + n)(connection)
                with records.snapshot() as connection:
                    names(connection)
        except StorageError as fault:
            # A blocking transaction cannot run again by itself; whoever uses one is told to.
            if fault.retry_after is None:
                faults.append(fault)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert faults == []


async def test_using_it_after_closing_is_an_error(database: str, tmp_path: Path) -> None:
    records = open_records(database, tmp_path)
    with records.begin() as connection:
        METADATA.create_all(connection)
    records.close()
    records.close()
    with pytest.raises(StorageError):
        await records.write(add(1))


WRITER = """
import os, sys
from pathlib import Path
from penstock.storage.records import open_records
from sqlalchemy import text
records = open_records(sys.argv[1], Path(sys.argv[2]))
with records.begin() as connection:
    for n in range(1000, 1500):
        connection.execute(text("INSERT INTO things (id, name) VALUES (:n, :name)"), {"n": n, "name": str(n)})
    os.write(1, b"x")
    os.read(0, 1)
"""


def test_a_writer_that_is_killed_inside_a_transaction_leaves_nothing(records: Records, database: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, database, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"x"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with records.begin() as connection:
        assert names(connection) == []
        add(1)(connection)
    with records.snapshot() as connection:
        assert names(connection) == ["thing 1"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://x/y", "scheme 'mysql' is not known"),
        ("nonsense", "a text without a scheme is not known"),
        ("sqlite://", "needs a file"),
        ("postgresql://user:hunter2@host:port/x", "postgresql"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(SettingsError) as fault:
        open_records(url, tmp_path)
    assert said in fault.value.message.lower()
    assert "hunter2" not in fault.value.message


async def test_a_server_that_is_not_there_is_told_from_a_fault_of_ours(tmp_path: Path) -> None:
    records = open_records("postgresql://user:hunter2@127.0.0.1:1/x", tmp_path)
    with pytest.raises(StorageError) as fault:
        await records.read(names)
    assert fault.value.status == 503
    assert "hunter2" not in fault.value.message
    assert "hunter2" not in records.place
    records.close()
