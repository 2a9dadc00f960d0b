"""A few of the kills of ``python -m tests.journal.drill``, which does a thousand."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from tests.journal.conftest import migrated
from tests.journal.drill import SETTINGS, Report, Worker, drill, examine, handed_on, most_at_once, opened

from penstock.journal.place import Place
from penstock.journal.tables import NODES

LEASE = SETTINGS.lease_seconds
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_kills_on_sqlite_lose_and_repeat_nothing(tmp_path: Path) -> None:
    report = await drill(3, tmp_path, seed=2, trips=3, longest=0.6)
    assert report.executions > report.runs
    assert (report.lost, report.repeated, report.over, report.doubled) == ([], [], [], [])


async def test_on_postgresql_the_other_process_takes_over(tmp_path: Path, postgres: str) -> None:
    migrated(postgres, tmp_path)
    report = await drill(2, tmp_path, postgres, seed=2, trips=3, longest=0.6)
    assert report.executions > report.runs
    assert (report.lost, report.repeated, report.over, report.doubled) == ([], [], [], [])
    # How soon is the drill's to measure, on a machine that does nothing else: here it only must have been.
    assert len(report.failovers) == report.kills


async def buried(database: Engine, node: str) -> None:
    """Wait until the others hold the node for dead."""

    def there() -> int:
        with database.connect() as connection:
            return connection.execute(select(func.count()).select_from(NODES).where(NODES.c.node == node)).scalar_one()

    while await asyncio.to_thread(there):
        await asyncio.sleep(0.02)


async def test_a_process_that_stands_still_inside_a_transaction_holds_nobody_up(tmp_path: Path, postgres: str) -> None:
    migrated(postgres, tmp_path)
    database = opened(postgres, tmp_path)
    one, two = Worker(tmp_path, postgres, 3), Worker(tmp_path, postgres, 3)
    await one.start(0)
    await two.start(0)
    await one.until(lambda: one.waves)
    place = Place(postgres, tmp_path, LEASE)
    place.lock()
    assert place.engine is not None
    with place.engine.connect() as frozen:
        one.signal(signal.SIGSTOP)
        # As if it had been stopped between two statements of its own: a session that says nothing more holds its runs.
        frozen.exec_driver_sql("SELECT 1 FROM penstock_journal.workflow_status FOR UPDATE SKIP LOCKED")
        took = await handed_on(database, one.node, time.time())
        frozen.invalidate()  # the server has ended it
    place.close()
    reached = max(two.waves, default=0)
    await two.until(lambda: max(two.waves, default=0) >= reached + 2)
    for worker in (one, two):
        await worker.kill()
    database.dispose()
    assert took <= LEASE + 1


async def test_a_process_that_stood_still_comes_back_under_another_name_and_repeats_nothing(tmp_path: Path, postgres: str) -> None:
    migrated(postgres, tmp_path)
    database = opened(postgres, tmp_path)
    one, two = Worker(tmp_path, postgres, 3), Worker(tmp_path, postgres, 3)
    await one.start(0)
    await two.start(0)
    await one.until(lambda: one.waves)
    one.signal(signal.SIGSTOP)
    reached = max(one.waves)
    await handed_on(database, one.node, time.time())
    await buried(database, one.node)
    one.signal(signal.SIGCONT)
    # It starts and awaits runs of its own again, and both still work.
    await one.until(lambda: max(one.waves) >= reached + 3)
    await two.until(lambda: max(two.waves, default=0) >= max(one.waves) - 1)
    ended = max(one.waves)
    dead = [(await worker.kill(), time.time()) for worker in (one, two)]
    report = Report(engine="postgresql", waves=ended + 1)
    examine(database, tmp_path, report, dead, 3)
    database.dispose()
    assert (report.lost, report.repeated, report.doubled) == ([], [], [])
    assert "lost the lease" in (tmp_path / "log").read_text()


def test_the_drill_would_see_what_runs_at_once() -> None:
    def at(moment: float, what: str, key: str, pid: int = 1) -> dict[str, object]:
        return {"at": moment, "what": what, "key": key, "pid": pid}

    one_after_the_other = [at(0, "begin", "a"), at(1, "end", "a"), at(1, "begin", "b"), at(2, "end", "b")]
    assert most_at_once(one_after_the_other, []) == 1
    assert most_at_once([at(0, "begin", "a"), at(0.5, "begin", "b"), at(1, "end", "a"), at(2, "end", "b")], []) == 2
    # A step of a process that was killed at 3 s still runs at 2 s.
    assert most_at_once([at(0, "begin", "a", 7), at(2, "begin", "b"), at(4, "end", "b")], [(7, 3.0)]) == 2
    assert most_at_once([at(0, "begin", "a", 7), at(2, "begin", "b"), at(4, "end", "b")], [(7, 1.0)]) == 1
    # The number of a process that died is given to another, which dies later.
    assert most_at_once([at(0, "begin", "a", 7), at(2, "begin", "b"), at(4, "end", "b")], [(7, 1.0), (7, 9.0)]) == 1
