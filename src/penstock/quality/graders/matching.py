"""Regular expressions in a process of their own: one that does not come to an end is killed, and the house goes on.

The patterns come from whoever makes an evaluation, the texts from models; together they can keep Python's matcher busy for years, and
nothing inside the process could stop it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys

import msgspec

SECONDS = 2.0
LONGEST_PATTERN = 2000
_PROGRAM = """
import json, re, sys
for line in sys.stdin:
    pattern, flags, text = json.loads(line)
    found = None
    for found in re.finditer(pattern, text, flags):
        pass
    told = None if found is None else (found.group(1) if found.re.groups and found.group(1) is not None else found.group(0))
    sys.stdout.write(json.dumps(told) + "\\n")
    sys.stdout.flush()
"""


class TooSlow(Exception):
    """The pattern did not come to an end in time."""


def check(pattern: str) -> None:
    """Raise ValueError for a pattern that Python does not take."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as fault:
        raise ValueError(f"no regular expression: {fault}") from None


class Matcher:
    """One process that matches; started with the first pattern, again after one that was too slow."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self.slow = 0

    async def last(self, pattern: str, text: str, flags: int = 0) -> str | None:
        """The last match of ``pattern`` in ``text``, its first group where it has one; None without. Raises `TooSlow`."""
        async with self._lock:
            process = self._process
            if process is None or process.returncode is not None:
                pipe = asyncio.subprocess.PIPE
                process = self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", "-c", _PROGRAM, stdin=pipe, stdout=pipe, limit=1 << 26
                )
            assert process.stdin is not None
            assert process.stdout is not None
            # Without the escapes of JSON's own, a lone surrogate would not go through.
            process.stdin.write(msgspec.json.encode((pattern, int(flags), text)) + b"\n")
            try:
                async with asyncio.timeout(self._seconds):
                    told = await process.stdout.readline()
                return msgspec.json.decode(told) if told else None
            except (TimeoutError, asyncio.CancelledError) as fault:
                await self._kill()
                if isinstance(fault, TimeoutError):
                    self.slow += 1
                    raise TooSlow(f"the pattern took longer than {self._seconds:g} s on this answer") from None
                raise

    async def close(self) -> None:
        """End the process."""
        async with self._lock:
            await self._kill()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


__all__ = ["Matcher", "TooSlow", "check"]
