"""A real ``penstock up`` that can be killed and started again on the same folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS = 60.0
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Where nothing that is compiled may be kept, each start compiles everything anew, which takes longer than the start."""


class Penstock:
    """One installation in a folder: its settings, its data, and the process that runs now, if any."""

    def __init__(self, folder: Path, settings: str, *, data: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = data or folder / "data"
        self.config = folder / "penstock.toml"
        self.config.write_text(f'[server]\nport = 0\ndata_dir = "{self.data}"\ndrain_seconds = 5\n{settings}', "utf-8")
        self.environ: dict[str, str] = {}
        """What its processes have besides our own environment."""
        self.url = ""
        self.admin_keys: list[str] = []
        self._starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None
        self._up = asyncio.Event()

    @property
    def admin(self) -> str:
        """The key that the first start printed."""
        return self.admin_keys[0]

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What all starts so far have logged."""
        file = self.folder / "log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    async def spawn(self) -> None:
        """Begin a start, without waiting for it to end."""
        self._up.clear()
        self.url = ""
        self._starts += 1
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "penstock", "up", "-c", str(self.config)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**_ENVIRONMENT, **self.environ},
            )
        self._said = asyncio.create_task(self._listen(self._process))

    async def start(self) -> None:
        """Start, and return when calls are answered. AssertionError when it ends instead."""
        await self.spawn()
        await self.up()

    async def up(self) -> None:
        """Wait until the start that was begun is done."""
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        listens = asyncio.create_task(self._up.wait())
        await asyncio.wait({ended, listens}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        listens.cancel()
        if not self._up.is_set():
            ended.cancel()
            raise AssertionError(f"Penstock did not start:\n{self.log[-2000:]}")

    async def kill(self) -> bool:
        """``kill -9``; whether the process was still there to be killed."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        return await self.ended() == -signal.SIGKILL

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.signal()
        return await self.ended()

    def signal(self) -> None:
        """SIGTERM, without waiting."""
        assert self._process is not None
        self._process.terminate()

    async def command(self, *words: str) -> tuple[int, str]:
        """Exit code and output of another ``penstock`` command on the same settings."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "penstock", *words, "-c", str(self.config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async def ask(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """One request to the control routes, as admin unless ``key`` is given; AssertionError unless it succeeds."""
        headers = {"authorization": f"Bearer {key or self.admin}"}
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None

    async def ended(self) -> int:
        """The exit code, once the process has ended."""
        assert self._process is not None
        assert self._said is not None
        code = await self._process.wait()
        await self._said
        return code

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode()
            if found := re.search(r"psk_\S+", text):
                self.admin_keys.append(found.group(0))
            if found := re.search(r"http://[\d.:]+", text):
                self.url = found.group(0)
            # The key follows the address on a first start; whoever waits wants both. A later start has none to tell, as a rule.
            if self.url and (self.admin_keys or self._starts > 1):
                self._up.set()
