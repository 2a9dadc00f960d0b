"""Penstock as a child process, started the way anybody starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

from penstock.kernel.errors import Unavailable

START_SECONDS = 30.0
STOP_SECONDS = 15.0
_ADDRESS = re.compile(r"Penstock \S+ at (http://\S+)")
_KEY = re.compile(r"Admin key, shown this once: (\S+)")


class Process:
    """A running Penstock: where it listens, and the admin key that its first start printed."""

    def __init__(self, child: asyncio.subprocess.Process, url: str, admin_key: str) -> None:
        self._child = child
        self.url = url
        self.admin_key = admin_key

    @classmethod
    async def start(cls, config: Path, log: Path) -> Process:
        """Start with ``config`` on an empty data folder; its log goes to ``log``. Raises `Unavailable` with the log's end when it fails."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        with log.open("wb") as errors:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "penstock", "up", "--config", str(config), stdout=asyncio.subprocess.PIPE, stderr=errors, env=environ
            )
        told: list[str] = []
        try:
            async with asyncio.timeout(START_SECONDS):
                assert child.stdout is not None
                while not ((url := _found(_ADDRESS, told)) and (key := _found(_KEY, told))):
                    line = await child.stdout.readline()
                    if not line:
                        raise Unavailable(f"Penstock did not start; the end of {log}:\n{_tail(log)}")
                    told.append(line.decode("utf-8", "replace"))
        except TimeoutError as fault:
            await _end(child)
            raise Unavailable(f"Penstock did not start within {START_SECONDS:g} s; the end of {log}:\n{_tail(log)}") from fault
        except BaseException:
            await _end(child)
            raise
        return cls(child, url, key)

    async def stop(self) -> int:
        """Ask it to stop as an operator would, wait, and give its exit code."""
        return await _end(self._child)

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        return await self._child.wait()


async def _end(child: asyncio.subprocess.Process) -> int:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await child.wait()
        except TimeoutError:
            child.kill()
    return await child.wait()


def _found(pattern: re.Pattern[str], lines: list[str]) -> str:
    return next((found.group(1) for line in lines if (found := pattern.search(line))), "")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-2000:]
