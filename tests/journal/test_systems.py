"""DBOS's access to its database, as far as it is ours; the rest of it is in the conformance tests."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import event

from penstock.journal import systems
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.journal import Run


async def test_runs_that_wait_ask_the_database_next_to_nothing(tmp_path: Path) -> None:
    async def wait(run: Run, _: object) -> object:
        return await run.wait("go")

    journal = JournalService(JournalSettings(poll_seconds=60), "", tmp_path)
    journal.define("wait", wait)
    runs = [await journal.start("wait", organisation="org") for _ in range(30)]
    for run in runs:
        while not await journal.history(None, run):
            await asyncio.sleep(0.01)
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    event.listen((await journal.begin()).system.engine, "before_cursor_execute", count)
    loop = asyncio.get_running_loop()
    until = loop.time() + 1.5
    while loop.time() < until:
        await asyncio.sleep(0.1)
    # Asking for each waiter once a second would be 45.
    assert asked < 20
    for run in runs:
        await journal.signal(None, run, "go", 1)
        assert await journal.result(None, run, 20) == 1
    await journal.close()


def test_a_worker_that_has_not_begun_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    worker = threading.Thread(target=go.wait, name="queue-worker-new")
    real, asked = threading.enumerate, 0

    def listed() -> list[threading.Thread]:
        nonlocal asked
        asked += 1
        if asked == 1:
            return [worker]  # as between its listing and its first breath
        if asked == 2:
            worker.start()
        if asked == 3:
            go.set()
        return real()

    monkeypatch.setattr(threading, "enumerate", listed)
    systems.await_workers(seconds=10)
    assert not worker.is_alive()
    assert asked >= 3
