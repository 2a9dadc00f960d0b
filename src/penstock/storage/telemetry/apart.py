"""The engine of the embedded store as a process of its own: started when there is work for it, and again when it died.

So what it costs to store spans and to answer questions is no time of the process that serves calls, and what happens to the engine (it
takes too much memory, it meets a fault of its own) does not happen to that one. Batches wait in the inbox meanwhile, and questions are
asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from penstock.kernel.errors import PenstockError
from penstock.storage.telemetry.asking import Unanswered, ask
from penstock.storage.telemetry.holder import LEASE
from penstock.storage.telemetry.inbox import Inbox

_log = logging.getLogger("penstock.telemetry")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds before an engine that died is started again: doubled with every death, and as at first once one has lived for `STEADY`."""

STEADY = 30.0
GRACE = 30.0
"""Seconds in which it stores what waits and closes its file, before it is killed; what it did not store waits for the next one."""

SIGN_SECONDS = 10.0
HUNG_SECONDS = 120.0
"""How long one sign of life is waited for, and after how long without any a running engine is killed: it may be stopped, and while it lives
no other can open the store. Long, since where the machine is busy it takes its time to start."""


class Apart:
    """One process's way to the engine's. It ends with this one: it sees that the pipe it reads from has no writer any more."""

    def __init__(self, folder: Path, inbox: Inbox, command: Sequence[str], *, seconds: float) -> None:
        """Every ``seconds`` it is looked whether something waits and nobody stores it."""
        self._lease = folder / LEASE
        self._inbox = inbox
        self._command = list(command)
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._began = 0.0
        self._not_before = 0.0
        self._pause = 0.0
        self._silent_since: float | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The engine's process, where it is one of ours and runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Begin to look whether something waits."""
        self._task = asyncio.create_task(self._run(), name="telemetry engine")

    async def wake(self) -> None:
        """Start the engine, unless it runs, here or for another process, or died just now."""
        # All of it on a thread: who asked may give up meanwhile, and a child that was started must be known.
        await asyncio.to_thread(self._wake)

    def _wake(self) -> None:
        with self._lock:
            if self._closed or self._runs() or time.monotonic() < self._not_before or self._is_held():
                return
            self._began = time.monotonic()
            self._silent_since = None
            self._child = self._spawn()

    def _runs(self) -> bool:
        child = self._child
        if child is None:
            return False
        code = child.poll()
        if code is None:
            return True
        self._child = None
        _close(child)
        now = time.monotonic()
        if code == 0:  # nobody needed it any more
            self._pause = 0.0
            return False
        self._pause = FIRST_PAUSE if now - self._began > STEADY else min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        self._not_before = now + self._pause
        _log.error("the telemetry store's engine has ended and is started again", extra={"exit": code, "seconds": self._pause})
        return False

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A group of its own: Ctrl-C on a terminal is for this process, which tells the engine.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)  # noqa: S603 - our own command line

    def _is_held(self) -> bool:
        try:
            lease = os.open(self._lease, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lease)
        return False

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                if not await asyncio.to_thread(self._inbox.is_empty):
                    await self.wake()
                await self._listen()
            except (PenstockError, OSError) as fault:  # a full table of processes or of files: a later round may find room
                _log.warning("the telemetry store's engine cannot be started", extra={"fault": str(fault)})

    async def _listen(self) -> None:
        """Ask an engine of ours for a sign of life, and kill one that has given none for long."""
        child = self._child
        if child is None:
            return
        now = time.monotonic()
        try:
            place = await asyncio.to_thread(self._lease.read_text, "utf-8", "replace")
            await ask(place, "alive", (), SIGN_SECONDS)
        except (Unanswered, PenstockError, OSError):
            since = self._silent_since = now if self._silent_since is None else self._silent_since
            if time.monotonic() - since > HUNG_SECONDS:
                await asyncio.to_thread(self._kill, child)
        else:
            self._silent_since = None

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if child is self._child and self._runs():
                _log.error("the telemetry store's engine gives no sign of life and is killed", extra={"pid": child.pid})
                child.kill()
                child.wait()

    async def close(self) -> None:
        """Have it store what waits and end."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        with self._lock:
            if (child := self._child) is not None:
                self._child = None
                _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    _close(child)
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        _log.warning("the telemetry store's engine does not end and is killed", extra={"pid": child.pid})
        child.kill()
        child.wait()


def _close(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError):
        child.stdin.close()
