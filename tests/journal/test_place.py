"""The file of a journal on SQLite: whose it is, and how it is kept."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest

from penstock.journal.place import Place
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.errors import JournalInUse
from penstock.kernel.journal import Run


async def nothing(run: Run, _: object) -> object:
    return run.organisation


async def test_a_second_process_on_one_file_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    words = (sys.executable, "-c", _HOLD, str(tmp_path))
    holder = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"held\n"
        journal = JournalService(JournalSettings(), "", tmp_path)
        journal.define("nothing", nothing)
        with pytest.raises(JournalInUse, match=f"process {holder.pid} works") as caught:
            await journal.start("nothing", organisation="org")
        assert caught.value.code == "journal_in_use"
    finally:
        await holder.communicate(b"")
    # Nobody has to clean up after a process that ended.
    run = await journal.start("nothing", organisation="org")
    assert await journal.result(None, run, 20) == "org"
    await journal.close()


_HOLD = """
import sys, pathlib
from penstock.journal.place import Place
place = Place("", pathlib.Path(sys.argv[1]))
place.lock()
print("held", flush=True)
sys.stdin.read()
"""


async def test_the_file_is_the_owners_alone_and_in_wal(tmp_path: Path) -> None:
    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("nothing", nothing)
    await journal.result(None, await journal.start("nothing", organisation="org"), 20)
    await journal.close()
    file = tmp_path / "journal.db"
    assert file.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        formats = {row[0] for row in connection.execute("SELECT DISTINCT serialization FROM workflow_status")}
    connection.close()
    assert formats == {"penstock_json"}


def test_the_clock_counts_finer_than_seconds_also_in_what_columns_hold_by_default(tmp_path: Path) -> None:
    place = Place("", tmp_path)
    place.lock()
    assert place.engine is not None
    with place.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), n INTEGER)")
        for n in range(200):
            connection.exec_driver_sql("INSERT INTO t (n) VALUES (?)", (n,))
        moments = [row[0] for row in connection.exec_driver_sql("SELECT at FROM t ORDER BY n")]
    place.close()
    assert moments == sorted(moments)
    assert len(set(moments)) > 100
