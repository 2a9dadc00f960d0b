"""DBOS in our process: what it may not touch. What it does is in the conformance tests."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.errors import JournalUnavailable
from penstock.kernel.journal import Run


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


async def test_a_process_has_one_journal(tmp_path: Path) -> None:
    async def work(run: Run, _: object) -> None:
        return None

    one, two = (JournalService(JournalSettings(), "", tmp_path / name) for name in ("one", "two"))
    one.define("work", work)
    two.define("work", work)
    await one.begin()
    with pytest.raises(JournalUnavailable, match="open already"):
        await two.begin()
    await one.close()
    await two.result(None, await two.start("work", organisation="org"), 20)
    await two.close()
