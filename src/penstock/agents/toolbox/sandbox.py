"""Code that a model wrote, run where it can reach nothing (`jail`). Fails closed: without all walls it is not run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from penstock.agents.faults import Permanent
from penstock.agents.toolbox import jail
from penstock.agents.toolbox.places import Bounds, Places
from penstock.agents.tools import Tool

MIB = 2**20
BASE_BYTES = 48 * MIB
"""What the jail's own processes hold; not counted as the code's."""
LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
LINKER = "/etc/ld.so.cache"
PLACES = Places("sandbox", Bounds(at_once=4, waiting=32, seconds=30.0))
"""Of this process, for all tools that run code; a house sets them as its settings say (`[agents.sandboxes]`)."""


class Ran(Struct, frozen=True, omit_defaults=True):
    """What came of it. ``status`` is the exit status, 128 and the signal's number where a signal ended it; ``limit`` names the limit that
    ended it, if one did: ``time``, ``cpu``, ``memory``, ``output``. What was printed until then is told."""

    status: int
    stdout: str
    stderr: str
    limit: str = ""


class Room(Struct, frozen=True, kw_only=True):
    """How much of everything the code gets. ``packages`` are folders that it may import from; whoever names one lets it be read."""

    seconds: float = 20.0
    cpu_seconds: int = 10
    memory_mib: int = 512
    processes: int = 16
    scratch_mib: int = 64
    output_bytes: int = 65_536
    packages: tuple[str, ...] = ()


def code(
    *,
    name: str = "python",
    seconds: float = 20.0,
    cpu_seconds: int = 10,
    memory_mib: int = 512,
    processes: int = 16,
    scratch_mib: int = 64,
    output_bytes: int = 65_536,
    packages: Sequence[str] = (),
) -> list[Tool[..., Any]]:
    """A tool that runs Python: no network, no files but a scratch folder that is gone afterwards, no secrets, these limits.

    ``memory_mib`` is for all processes of the code together. Of all programs only so many run at once in a process; a call for which there
    is no place in time fails with ``sandbox_busy``, and is tried again. Needs Linux 5.14 or later with user namespaces; elsewhere each call
    fails with ``sandbox_unavailable``.
    """
    room = Room(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        memory_mib=memory_mib,
        processes=processes,
        scratch_mib=scratch_mib,
        output_bytes=output_bytes,
        packages=tuple(packages),
    )

    async def run(
        program: Annotated[str, Meta(description="A whole Python program; print what is wanted.", max_length=200_000)],
    ) -> Ran:
        async with PLACES.one():
            return await ran(program, room)

    told = (
        f"Run a Python {sys.version_info.major}.{sys.version_info.minor} program and see what it prints. There is no network, nothing is "
        f"kept from one call to the next, and it has {seconds:g} seconds."
    )
    limit = seconds + PLACES.bounds.seconds + 10.0
    return [Tool(run, effect="read", name=name, description=told, seconds=limit, most_bytes=4 * output_bytes + 4096)]


async def ran(program: str, room: Room) -> Ran:
    """Run it. Raises `Permanent` where the walls cannot be had."""
    if sys.platform != "linux":
        raise Permanent("sandbox_unavailable: code is run on Linux only, where it can be shut in")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    wanted = {
        "report": writing,
        "code": program,
        "python": _python(),
        "visible": _visible(room.packages),
        "packages": room.packages,
        "cpu": room.cpu_seconds,
        "memory": room.memory_mib * MIB,
        "base": BASE_BYTES,
        "processes": room.processes + 1,  # with process 1
        "scratch": room.scratch_mib * MIB,
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *(_python(), "-I", "-S", jail.__file__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(writing,),
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as fault:
        os.close(reading)
        raise Permanent(f"sandbox_unavailable: it cannot be started: {fault.strerror}") from fault
    finally:
        os.close(writing)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        # Kept open: when we are gone, so is the code.
        process.stdin.write(msgspec.json.encode(wanted) + b"\n")
        limit = ""
        kept = _Kept(room.output_bytes)
        taking = asyncio.gather(kept.take(process.stdout, 1), kept.take(process.stderr, 2), process.wait())
        full = asyncio.create_task(kept.full.wait())
        await asyncio.wait([taking, full], timeout=room.seconds, return_when=asyncio.FIRST_COMPLETED)
        if kept.full.is_set():
            limit = "output"
        elif not taking.done():
            limit = "time"
        full.cancel()
        await _over(process)
        await taking  # the rest is read and dropped, so that nothing stays open
        said = _reported(reading)
        if "ready" not in said:
            if limit == "time":
                raise Permanent("sandbox_unavailable: it was not ready in time")
            why = "; ".join(said) or kept.text(2)[-300:]
            raise Permanent(f"sandbox_unavailable: code cannot be shut in on this machine ({why}); it was not run")
        status = process.returncode or 0
        if not limit and status == -jail.MEMORY:
            limit = "memory"
        if not limit and len(said) > 1:
            raise Permanent(f"sandbox_unavailable: the interpreter cannot be started inside: {'; '.join(said[1:])}")
        if not limit and status == 128 + signal.SIGXCPU:
            limit = "cpu"
        return Ran(status if status >= 0 else 128 + signal.SIGKILL, kept.text(1), kept.text(2), limit)
    finally:
        await _over(process)
        os.close(reading)


class _Kept:
    """What was printed, up to a limit for both streams together; of the rest it is only known that there was more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts = {1: bytearray(), 2: bytearray()}
        self.full = asyncio.Event()

    async def take(self, stream: asyncio.StreamReader, which: int) -> None:
        while piece := await stream.read(16_384):
            left = self._most - sum(len(one) for one in self._parts.values())
            self._parts[which] += piece[:left]
            if len(piece) > left:
                self.full.set()

    def text(self, which: int) -> str:
        return self._parts[which].decode(errors="replace")


async def _over(process: asyncio.subprocess.Process) -> None:
    """End it with all that belongs to it, and wait until it has."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


def _reported(reading: int) -> list[str]:
    """What the jail has said of itself until now."""
    try:
        return os.read(reading, 4096).decode(errors="replace").strip().splitlines()
    except BlockingIOError:
        return []


def _python() -> str:
    """The interpreter itself, not the link of a virtual environment to it."""
    base: Any = getattr(sys, "_base_executable", None) or sys.executable
    return str(Path(base).resolve())


def _visible(packages: Sequence[str]) -> list[str]:
    """What of the machine is seen inside, read-only: the interpreter, its library, and the system's."""
    python = Path(_python())
    base = Path(sys.base_prefix)
    found = [one for one in (*LIBRARIES, LINKER) if Path(one).exists()]
    own = [
        str(python),
        sysconfig.get_path("stdlib"),
        sysconfig.get_config_var("DESTSHARED"),
        *map(str, sorted(base.glob("lib/libpython*.so*"))),
    ]
    for one in (*own, *packages):
        if not any(Path(one).is_relative_to(other) and not Path(other).is_symlink() for other in found):
            found.append(one)
    return found
