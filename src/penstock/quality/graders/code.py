"""The answer is Python that passes the item's tests, run in a process with limits.

This is no sandbox against hostile code. What it has: a process of its own with an empty environment in a folder that is removed, limits
on time, memory, files and output, and where Linux lets it, no network and no other processes in sight. What it does not have: a file system
of its own. Code runs as the user of this process and can read what that user can. So it is off unless ``quality.code`` is ``on``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade, judged, unjudged

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
MEMORY_BYTES = 1 << 30
FILE_BYTES = 16 << 20
OUTPUT_BYTES = 65_536

# Limits are set by the process itself, before it reads the code: setting them between fork and exec is not safe beside threads.
_LAUNCHER = f"""
import resource, runpy, sys
seconds = int(float(sys.argv[2])) + 1
for kind, most in (("RLIMIT_CPU", seconds), ("RLIMIT_AS", {MEMORY_BYTES}), ("RLIMIT_FSIZE", {FILE_BYTES}),
                   ("RLIMIT_NOFILE", 64), ("RLIMIT_CORE", 0), ("RLIMIT_NPROC", 256)):
    try:
        resource.setrlimit(getattr(resource, kind), (most, most))
    except (ValueError, OSError):
        pass
program = sys.argv[1]
sys.argv[:] = [program]
runpy.run_path(program, run_name="__main__")
"""


class Code:
    """Runs tests, at most ``at_once`` at a time."""

    name = "code"
    compares = False

    def __init__(self, *, on: bool, seconds: float = 10.0, at_once: int = 2) -> None:
        self._on = on
        self._seconds = seconds
        self._places = asyncio.Semaphore(at_once)
        self._apart: list[str] | None = None

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """1 where the tests ran to their end, else 0 with the last line of what was said; `unjudged` without tests or where it is off."""
        if not self._on:
            return unjudged("running code is off (quality.code)")
        if not item.tests.strip():
            return unjudged("the item has no tests")
        # Leaving early must not look like passing: only code that got behind the tests says the word.
        word = secrets.token_hex(16)
        program = f"{code_of(answer)}\n\n{item.tests}\n\nimport sys\nsys.stdout.write('\\n{word}')\nsys.stdout.flush()\n"
        async with self._places:
            return await self._run(program, word)

    async def _run(self, program: str, word: str) -> Grade:
        if self._apart is None:
            self._apart = await _apart()
        with tempfile.TemporaryDirectory(prefix="penstock-code-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            file = folder / "answer.py"
            try:
                file.write_text(program, "utf-8")
            except UnicodeEncodeError:
                return judged(0.0, "the code is not valid Unicode")
            process = await asyncio.create_subprocess_exec(
                *self._apart,
                sys.executable,
                *("-I", "-X", "utf8", "-c", _LAUNCHER, str(file), str(self._seconds)),
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": name, "TMPDIR": name, "LANG": "C.UTF-8"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(self._seconds):
                    said = await _tail(process)
                    status = await process.wait()
            except TimeoutError:
                return judged(0.0, f"not done within {self._seconds:g} s")
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # whatever it has left behind, too
                await process.wait()
        if status == 0 and said.rstrip().endswith(word):
            return judged(1.0)
        lines = [line for line in said.splitlines() if line.strip()]
        return judged(0.0, lines[-1][:200] if lines and status != 0 else "ended before the tests did")


def code_of(answer: str) -> str:
    """The code in an answer: its fenced blocks of Python one after another, or all of it where there are none."""
    found = _FENCE.findall(answer)
    return "\n\n".join(found) if found else answer


async def _tail(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    kept = b""
    while piece := await process.stdout.read(OUTPUT_BYTES):
        kept = (kept + piece)[-OUTPUT_BYTES:]
    return kept.decode("utf-8", "replace")


async def _apart() -> list[str]:
    """The words before a command that take network and other processes out of its sight, as far as this machine lets us."""
    program = shutil.which("unshare")
    if program is None:
        return []
    for words in (("--map-root-user", "--net", "--pid", "--ipc", "--fork", "--kill-child"), ("--map-root-user", "--net")):
        quiet = asyncio.subprocess.DEVNULL
        try:
            tried = await asyncio.create_subprocess_exec(program, *words, "/bin/true", stdin=quiet, stdout=quiet, stderr=quiet)
        except OSError:
            return []
        if await tried.wait() == 0:
            return [program, *words]
    return []


__all__ = ["Code", "code_of"]
