"""``kill -9`` at any moment between an alert and its delivery: it is neither lost nor told under another id."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.alerts.process import GROUPS
from tests.alerts.rig import Receiver, receiving

from penstock.alerts import outbox, store
from penstock.storage.records import open_records

pytestmark = pytest.mark.timeout(120)
ROOT = Path(__file__).parents[2]


async def start(folder: Path, url: str) -> asyncio.subprocess.Process:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.alerts.process", str(folder), url, stdout=asyncio.subprocess.PIPE, env=environ, cwd=ROOT
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_killed_between_firing_and_delivery_it_is_told_once_by_key(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        receiver: Receiver = await stack.enter_async_context(receiving())
        seen = receiver.seen
        receiver.hold = asyncio.Event()
        # Killed while the receiver has the request and has not answered: nobody knows whether it arrived.
        process = await start(tmp_path, receiver.url)
        while not seen:
            await asyncio.sleep(0.01)
        await kill(process)
        receiver.hold.set()
        receiver.hold = None
        # Killed with messages waiting, since the receiver is in trouble.
        receiver.answer = lambda: 503
        before = seen.total()
        process = await start(tmp_path, receiver.url)
        while seen.total() < before + 2:
            await asyncio.sleep(0.01)
        await kill(process)
        receiver.got.clear()
        receiver.answer = lambda: 200
        process = await start(tmp_path, receiver.url)
        while len({body["data"]["group"] for _, body in receiver.got}) < len(GROUPS):
            await asyncio.sleep(0.01)
        await kill(process)

    keys = {headers["idempotency-key"] for headers, _ in receiver.got}
    assert len(keys) == len(receiver.got) == len(GROUPS)  # what was taken, was taken once
    assert set(seen) == keys  # and nothing was ever told under another id
    assert {body["type"] for _, body in receiver.got} == {"penstock.alert.fired"}
    records = open_records("", tmp_path / "data")
    try:
        opened = await records.read(store.open_alerts)
        assert sorted(alert.group for alert in opened) == list(GROUPS)
        assert {one.id for one in await records.read(lambda c: outbox.listed(c, None))} == keys
    finally:
        records.close()
