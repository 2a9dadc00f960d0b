"""Processes under measurement: started, watched through ``/proc`` and stopped, each with all of its children. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Usage:
    """What a process tree has used. ``cpu_seconds``: user and system time of its living processes with all their threads, and of
    children that they have reaped. ``rss_mb``: resident memory, 10^6 bytes, summed over processes (shared pages count for each)."""

    cpu_seconds: float
    rss_mb: float


class Running:
    """One started process and its children, in a process group of its own; its output goes to ``log``."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        environment = {**os.environ, **(env or {})}
        # A process that may not keep its bytecode compiles every module at every start, which no installation does.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.started = time.perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def usage(self) -> Usage:
        cpu = 0.0
        rss = 0
        for pid in _tree(self.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                resident = Path(f"/proc/{pid}/statm").read_text().split()[1]
            except (FileNotFoundError, ProcessLookupError):  # ended between the listing and the look
                continue
            cpu += sum(int(ticks) for ticks in fields[11:15]) / _TICKS
            rss += int(resident) * _PAGE
        return Usage(cpu, rss / 1e6)

    def last_lines(self, count: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def stop(self) -> None:
        """SIGTERM to the group, ten seconds of grace, then SIGKILL."""
        _signal_group(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        _signal_group(self.pid, signal.SIGKILL)
        self._process.wait()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
