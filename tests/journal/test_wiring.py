"""When the journal is opened, and what is said where it cannot be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event
from tests.house import open_house

from penstock.journal import service as service_module
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.journal.wiring import JournalLife
from penstock.kernel.errors import JournalInUse, JournalNotInstalled, SettingsError
from penstock.kernel.journal import Journal, Run


async def _nothing(run: Run, _: object) -> object:
    return run.organisation


def define(journal: Journal) -> None:
    journal.define("nothing", _nothing)


def test_a_house_without_runs_does_not_load_the_engine() -> None:
    code = "import sys; from penstock.cli import _mount; _mount(); assert 'dbos' not in sys.modules; assert 'sqlalchemy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_house_with_runs_works_on_them(tmp_path: Path) -> None:
    settings = f'[gateway]\ndiscover = false\nlocal_embeddings = false\n[journal]\ndefinitions = ["{__name__}:define"]\n'
    sys.modules.setdefault(__name__, sys.modules[define.__module__])
    async with open_house(tmp_path, settings) as house:
        journal = house.app.ports.get(Journal)
        run = await journal.start("nothing", organisation="org")
        assert await journal.result("org", run, 20) == "org"


async def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "installed", lambda: False)
    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("nothing", _nothing)
    with pytest.raises(JournalNotInstalled, match=r"pip install 'penstock\[journal\]'") as caught:
        await journal.start("nothing", organisation="org")
    assert caught.value.code == "journal_not_installed"
    assert not list(tmp_path.iterdir())


async def test_a_definition_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    settings = JournalSettings(definitions=("penstock.nowhere:define",))
    with pytest.raises(SettingsError, match=r"penstock\.nowhere:define"):
        await JournalLife(JournalService(settings, "", tmp_path), settings).start()


async def test_a_second_process_on_one_file_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    words = (sys.executable, "-c", _HOLD, str(tmp_path))
    holder = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"held\n"
        journal = JournalService(JournalSettings(), "", tmp_path)
        journal.define("nothing", _nothing)
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
    import sqlite3

    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("nothing", _nothing)
    await journal.result(None, await journal.start("nothing", organisation="org"), 20)
    await journal.close()
    file = tmp_path / "journal.db"
    assert file.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        formats = {row[0] for row in connection.execute("SELECT DISTINCT serialization FROM workflow_status")}
    connection.close()
    assert formats == {"penstock_json"}


async def test_runs_that_wait_ask_the_database_next_to_nothing(tmp_path: Path) -> None:
    async def wait(run: Run, _: object) -> object:
        return await run.wait("go")

    journal = JournalService(JournalSettings(poll_seconds=60), "", tmp_path)
    journal.define("wait", wait)
    runs = [await journal.start("wait", organisation="org") for _ in range(50)]
    for run in runs:
        while not await journal.history(None, run):
            await asyncio.sleep(0.01)
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    event.listen((await journal.begin()).system.engine, "before_cursor_execute", count)
    loop = asyncio.get_running_loop()
    until = loop.time() + 2.5
    while loop.time() < until:
        await asyncio.sleep(0.1)
    # Asking for each waiter once a second would be a hundred.
    assert asked < 30
    for run in runs:
        await journal.signal(None, run, "go", 1)
        assert await journal.result(None, run, 20) == 1
    await journal.close()


async def test_the_houses_loop_and_its_threads_stay_its_own(tmp_path: Path) -> None:
    loops: list[object] = []

    async def step() -> None:
        loops.append(asyncio.get_running_loop())

    async def work(run: Run, _: object) -> None:
        loops.append(asyncio.get_running_loop())
        await run.step("step", step)

    before = await asyncio.to_thread(threading.get_ident)
    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("work", work)
    await journal.result(None, await journal.start("work", organisation="org"), 20)
    await journal.close()
    assert loops[0] is not asyncio.get_running_loop()
    assert loops[1] is asyncio.get_running_loop()
    assert await asyncio.to_thread(threading.get_ident) == before


async def test_pickle_is_refused_in_both_directions(tmp_path: Path) -> None:
    from dbos._serialization import DBOSDefaultSerializer

    from penstock.journal.serial import refuse_pickle

    refuse_pickle()
    with pytest.raises(TypeError, match="neither writes nor reads pickle"):
        DBOSDefaultSerializer.deserialize("gASVBAAAAAAAAABLAS4=")
    with pytest.raises(TypeError, match="neither writes nor reads pickle"):
        DBOSDefaultSerializer.serialize(1)
