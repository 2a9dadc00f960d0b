"""``penstock worker`` as a process: it takes up what waits, hands on what it has under way, and says why when it cannot work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from penstock.app import capabilities, migration_packages
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.journal import Journal, Queue, Run, RunState
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


async def _where() -> int:
    return os.getpid()


async def _work(run: Run, _: object) -> object:
    first = await run.step("first", _where)
    await run.wait("go")
    return [first, await run.step("second", _where)]


def define(journal: Journal) -> None:
    journal.define("work", _work)
    journal.declare(Queue(name="queue"))


def configured(folder: Path, url: str, definitions: str) -> Path:
    config = folder / "penstock.toml"
    config.write_text(
        f'[server]\ndata_dir = "{folder}/data"\n[storage]\nrecords = "{url}"\n[gateway]\ndiscover = false\nlocal_embeddings = false\n'
        f"[journal]\npoll_seconds = 0.05\nlease_seconds = 2\ndefinitions = {definitions}\n"
    )
    return config


async def started(config: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", "worker", "-c", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"working on "):
            break
    return process


async def test_workers_share_a_database_and_hand_on_when_they_stop(tmp_path: Path, postgres: str) -> None:
    records = open_records(postgres, tmp_path)
    migrate(records, migration_packages(capabilities()))
    records.close()
    config = configured(tmp_path, postgres, '["tests.test_worker:define"]')
    one = await started(config)
    # This process starts runs and executes none, as `penstock up` does with `work_in_up = false`.
    journal = JournalService(JournalSettings(poll_seconds=0.05), postgres, tmp_path / "data", works=False)
    define(journal)
    try:
        run = await journal.start("work", organisation="org", queue="queue")
        while not await journal.history(None, run):
            await asyncio.sleep(0.05)
        two = await started(config)
        one.send_signal(signal.SIGTERM)
        assert await one.wait() == 0
        await journal.signal(None, run, "go")
        assert await journal.result(None, run, 30) == [one.pid, two.pid]
        assert (await journal.get(None, run)).state is RunState.DONE
        unqueued = await journal.start("work", organisation="org")
        await journal.signal(None, unqueued, "go")
        assert await journal.result(None, unqueued, 30) == [two.pid, two.pid]
        two.send_signal(signal.SIGTERM)
        assert await two.wait() == 0
    finally:
        await journal.close()


async def test_a_second_worker_on_sqlite_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path, "", '["tests.test_worker:define"]')
    one = await started(config)
    two = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", "worker", "-c", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    _, said = await two.communicate()
    assert two.returncode == 1
    assert f"process {one.pid} works on the journal".encode() in said
    assert b"[journal_in_use]" in said
    one.send_signal(signal.SIGTERM)
    assert await one.wait() == 0
