"""``penstock up --workers N``: one process that keeps N others serving the same port, and does nothing else.

The port belongs to the supervisor, which binds it and does not listen; every worker binds it too (``SO_REUSEPORT``) and the kernel spreads
new connections over those that listen. The first worker starts alone: it brings the schema up to date and makes the first key; when it
serves, its address and key are printed, once, and the others start. A worker that dies is started again on its seat, sooner when it had
served for a while. Its journalled rows are taken over by the others, its slots are freed at once.

A worker holds the reading end of a pipe that only the supervisor can write: however the supervisor ends, the worker sees it, finishes its
calls and ends as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from penstock import __version__
from penstock.edge.server import bound, until_signal
from penstock.kernel.errors import Unavailable
from penstock.kernel.seat import Seat, Told
from penstock.settings import ServerSettings
from penstock.storage.shared import SharedCounters, shared_memory

_log = logging.getLogger("penstock.supervisor")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds before a dead worker is started again: doubled with every death, and as at first after `STEADY` seconds of service."""

STEADY = 30.0
MOST_FAILURES = 6
"""Starts in a row that may fail on one seat while nobody else serves either, before the supervisor gives up."""

GRACE = 10.0
"""Seconds beyond ``server.drain_seconds`` after which a worker that does not end is killed."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker's command line holds, as JSON: where it sits, and how the supervisor was asked to serve."""

    seat: Seat
    config: str | None
    host: str
    port: int


class Supervisor:
    """Keeps ``settings.workers`` processes alive on ``host``:``port`` until told to stop."""

    def __init__(self, config: Path | None, host: str, port: int, settings: ServerSettings) -> None:
        self._config = config
        self._host = host
        self._settings = settings
        self._workers = settings.workers
        self._socket: socket.socket = bound(host, port)
        self._port: int = self._socket.getsockname()[1]
        self._memory = shared_memory(self._workers)
        self._counters = SharedCounters(self._memory, 0, self._workers)
        self._alive, self._own_end = os.pipe()
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._serving: set[int] = set()
        self._stopping = False
        self._folder = ""

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code, 1 when workers cannot start."""
        told = asyncio.create_task(until_signal())
        await asyncio.sleep(0)  # its handlers are in place before there is a child
        with tempfile.TemporaryDirectory(prefix="penstock-", ignore_cleanup_errors=True) as self._folder:
            first = asyncio.Event()
            seats = [asyncio.create_task(self._keep(index, first), name=f"seat {index}") for index in range(self._workers)]
            try:
                ended, _ = await asyncio.wait([told, *seats], return_when=asyncio.FIRST_COMPLETED)
                if told in ended:
                    _log.info("stopping", extra={"signal": told.result(), "workers": len(self._children)})
                    code = 0
                else:
                    code = 1  # a seat is only given up when nothing serves
            finally:
                self._stopping = True
                await self._stop(seats)
            told.cancel()
            return code

    async def _keep(self, index: int, first: asyncio.Event) -> None:
        """Start a worker on a seat again and again; returns when stopping, or when it cannot start and nobody serves."""
        if index:
            await first.wait()
        pause, failures = FIRST_PAUSE, 0
        while not self._stopping:
            began = time.monotonic()
            try:
                child, word = await self._start(index)
            except OSError as fault:  # no room for another process, say: those that serve go on, and later there may be
                child = word = None
                _log.error("a worker cannot be started", extra={"worker": index, "fault": str(fault), "seconds": pause})
            if word is not None:
                self._serving.add(index)
                failures = 0
                if index == 0 and not first.is_set():
                    announce(word.url, word.key, self._workers)
                    first.set()
            else:
                failures += 1
            code = await child.wait() if child is not None else None
            self._children.pop(index, None)
            self._serving.discard(index)
            self._counters.free(index)
            if self._stopping:
                return
            if word is None and (not first.is_set() or (failures >= MOST_FAILURES and not self._serving)):
                # The first of all: its own message, on standard error, says what is wrong. Trying again would say it again.
                return
            if time.monotonic() - began >= STEADY:
                pause = FIRST_PAUSE
            if child is not None:
                _log.error("a worker has ended and is started again", extra={"worker": index, "exit": code, "seconds": pause})
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _start(self, index: int) -> tuple[asyncio.subprocess.Process, Told | None]:
        """A new worker, and what it says when it serves; None when it ends before."""
        hear, say = os.pipe()
        seat = Seat(index=index, workers=self._workers, folder=self._folder, counters=self._memory, alive=self._alive, told=say)
        start = Start(seat=seat, config=str(self._config) if self._config else None, host=self._host, port=self._port)
        try:
            child = self._children[index] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "penstock.up", msgspec.json.encode(start).decode()),
                pass_fds=(self._memory, self._alive, say),
                # A group of its own: Ctrl-C on a terminal goes to the supervisor alone, which tells each worker once.
                process_group=0,
            )
        except BaseException:  # whatever it is, nobody would close it
            os.close(hear)
            raise
        finally:
            os.close(say)
        with os.fdopen(hear, "rb") as words:
            line = await _line(words.fileno())
        # A line that was cut off is of a worker that has ended.
        return child, msgspec.json.decode(line, type=Told) if line.endswith(b"\n") else None

    async def _stop(self, seats: list[asyncio.Task[None]]) -> None:
        for seat in seats:
            # One that sleeps between two starts, or waits for the first worker, has nothing to end.
            if int((seat.get_name()).rpartition(" ")[2]) not in self._children:
                seat.cancel()
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        waiting = [asyncio.create_task(child.wait()) for child in self._children.values()]
        if waiting:
            hurry = asyncio.create_task(until_signal())
            everyone = asyncio.ensure_future(asyncio.gather(*waiting))
            await asyncio.wait({everyone, hurry}, timeout=self._settings.drain_seconds + GRACE, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            for index, child in list(self._children.items()):
                if child.returncode is None:
                    _log.warning("a worker is killed", extra={"worker": index})
                    with contextlib.suppress(ProcessLookupError):
                        child.kill()
            await everyone
        for seat in seats:
            seat.cancel()
        await asyncio.gather(*seats, return_exceptions=True)
        for handle in (self._alive, self._own_end):
            os.close(handle)
        self._counters.close()
        os.close(self._memory)
        self._socket.close()


async def _line(handle: int) -> bytes:
    """The one line that is written to a pipe, or nothing when its writers are gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(handle), "rb"))
    try:
        return await reader.readline()
    finally:
        transport.close()


def announce(url: str, key: str | None, workers: int = 1) -> None:
    """Tell the operator where it listens and, once, the first key: to standard output, never to the log."""
    out = sys.stdout
    many = f", {workers} workers" if workers > 1 else ""
    out.write(f"Penstock {__version__} at {url}  (console: {url}/console/{many})\n")
    if key is not None:
        out.write(f"Admin key, shown this once: {key}\n")
    out.flush()


def supervise(config: Path | None, host: str, port: int, settings: ServerSettings) -> None:
    """Run the supervisor; raises `Unavailable` when its workers cannot start, `SettingsError` when the address cannot be had."""
    if asyncio.run(Supervisor(config, host, port, settings).run()):
        raise Unavailable("the workers cannot start; what they said stands above")
