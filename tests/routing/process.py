"""`tests.routing.work` as a process that can be killed and started again on the same folder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS = 60.0


class Working:
    """One installation in a folder, and the process that runs now, if any. ``told`` are the address, the key and the organisation."""

    def __init__(self, folder: Path, url: str, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._upstream = url
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.url = self.key = self.organisation = ""

    @property
    def log(self) -> str:
        """What all starts so far have logged."""
        file = self._folder / "log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    async def start(self) -> None:
        """Start, and return when calls are answered. AssertionError when it ends instead."""
        words = [str(self._folder), self._upstream, *((self.key, self.organisation) if self.key else ())]
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.routing.work", *words), stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environment
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            word, *told = (await self._process.stdout.readline()).decode().split() or [""]
        assert word == "up", self.log[-3000:]
        self.url, self.key, self.organisation = told

    async def kill(self) -> None:
        """``kill -9``. AssertionError where it had ended by itself."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL, self.log[-3000:]

    async def terminate(self) -> None:
        """SIGTERM; until it has ended. AssertionError unless it ends well."""
        assert self._process is not None
        self._process.terminate()
        assert await self._process.wait() == 0, self.log[-3000:]

    async def end(self) -> None:
        """Leave nothing running."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request as admin; AssertionError unless it succeeds."""
        head = {"authorization": f"Bearer {self.key}"}
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path, json=body, headers=head) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None
