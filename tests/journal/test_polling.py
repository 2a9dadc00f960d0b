"""How often queues are looked into, where one process holds the journal."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from sqlalchemy import event

from penstock.journal.polling import SELDOM, Pace
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.journal import Queue, Run


def test_an_empty_queue_is_left_alone_until_something_changes() -> None:
    stop, changed = threading.Event(), threading.Event()
    pace = Pace(stop, changed, lambda: False)
    woken = threading.Timer(0.2, changed.set)
    began = time.monotonic()
    woken.start()
    assert not pace.wait(0.01)
    assert 0.1 < time.monotonic() - began < SELDOM
    assert not changed.is_set()


def test_what_waits_for_room_is_looked_at_as_often_as_was_asked() -> None:
    pace = Pace(threading.Event(), threading.Event(), lambda: True)
    began = time.monotonic()
    assert not pace.wait(0.1)
    assert time.monotonic() - began < SELDOM


def test_a_thread_that_is_told_to_stop_does() -> None:
    stop, changed = threading.Event(), threading.Event()
    stop.set()
    assert Pace(stop, changed, lambda: False).wait(60.0)


async def test_a_queued_run_starts_at_once_however_seldom_queues_are_looked_into(tmp_path: Path) -> None:
    async def child(run: Run, input: object) -> object:
        return input

    async def work(run: Run, input: object) -> object:
        return await (await run.child("child", input, queue="slow")).result()

    journal = JournalService(JournalSettings(poll_seconds=60.0), "", tmp_path)
    journal.define("work", work)
    journal.define("child", child)
    journal.declare(Queue(name="slow", concurrency=1))
    engine = await journal.begin()
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    began = time.monotonic()
    # The place that one leaves is taken by the next, and a run that begins here may put others into a queue.
    runs = [await journal.start("work", n, organisation="org", queue="slow" if n == 9 else None) for n in range(8)]
    assert [await journal.result(None, run, 25) for run in runs] == list(range(8))
    assert time.monotonic() - began < 25
    event.listen(engine.system.engine, "before_cursor_execute", count)
    await asyncio.sleep(1.0)
    assert statements < 15
    await journal.close()
