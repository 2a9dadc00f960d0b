"""Penstock as a child process, started the way anybody starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from penstock.kernel.errors import Unavailable

START_SECONDS = 30.0
STOP_SECONDS = 15.0
_ADDRESS = re.compile(r"Penstock \S+ at (http://\S+)")
_KEY = re.compile(r"Admin key, shown this once: (\S+)")


class Process:
    """A running Penstock: where it listens, and the admin key that its first start printed."""

    def __init__(self, config: Path, log: Path, environ: Mapping[str, str]) -> None:
        self._config = config
        self._log = log
        self._environ = environ
        self._child: asyncio.subprocess.Process
        self.url = ""
        self.admin_key = ""

    @classmethod
    async def start(cls, config: Path, log: Path, environ: Mapping[str, str] = {}) -> Process:
        """Start with ``config`` on an empty data folder; its log goes to ``log``, and it has ``environ`` besides what it inherits. Raises
        `Unavailable` with the log's end when it fails."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        process = cls(config, log, {**inherited, **environ})
        log.unlink(missing_ok=True)
        await process.again()
        return process

    async def again(self) -> None:
        """Start it on the data that it has; ``url`` is where it listens now. Raises `Unavailable`."""
        log = self._log
        with log.open("ab") as errors:
            child = self._child = await asyncio.create_subprocess_exec(
                # -P: what stands in the folder that the demo is started from is not imported, whatever it is called.
                *(sys.executable, "-P", "-m", "penstock", "up", "--config", str(self._config)),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environ,
            )
        told: list[str] = []
        try:
            async with asyncio.timeout(START_SECONDS):
                assert child.stdout is not None
                while not ((url := _found(_ADDRESS, told)) and (key := self.admin_key or _found(_KEY, told))):
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
        self.url, self.admin_key = url, key

    async def kill(self) -> bool:
        """SIGKILL, and wait; whether it was there to be killed."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        return await self._child.wait() == -signal.SIGKILL

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
