"""The log of a batch's results: appended to as lines are answered, read back after a crash, and at the end the source of the output files.

A record is one line of text: ``NUMBER KIND COST CODE CRC JSON``, where ``COST`` is followed by a plus and what it would have
cost in real time where that is another amount. It is with the kernel when `ResultLog.add` returns, so it outlives a
killed process; `ResultLog.sync` brings it to disk. A record that a crash cut off fails its checksum and is cut away.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from penstock.kernel.errors import StorageFull

LOG_FILE = "results.log"
GOOD, BAD = b"o", b"e"
BLOCK = 1 << 19
_HEAD = re.compile(rb"(\d+) ([oe]) (\d+(?:\+\d+)?) (\S+) ([0-9a-f]{8}) ")


class Result(msgspec.Struct, frozen=True):
    """What became of a line: its JSON as the output file has it, micro-dollars, and the code of the failure ("" when it is good).

    ``full`` is what it would have cost in real time, None for the same."""

    json: bytes
    cost: int = 0
    code: str = ""
    full: int | None = None


class ResultLog:
    """The log, open for appending. ``done[n]`` is 1 when line ``n`` has its result; a second one is not taken."""

    def __init__(self, folder: Path, total: int) -> None:
        self.done = bytearray(total)
        self.good = 0
        self.bad = 0
        self.cost = 0
        self.full = 0
        self.codes: Counter[str] = Counter()
        self._size = 0
        self._file = os.open(folder / LOG_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        for number, good, (cost, full), code, size, _ in _records(folder / LOG_FILE):
            self._size += size
            if number < total and not self.done[number]:
                self._count(number, good, cost, full, code)
        os.ftruncate(self._file, self._size)

    @property
    def count(self) -> int:
        """Lines that have their result."""
        return self.good + self.bad

    def add(self, number: int, result: Result) -> None:
        """Append the result of a line that has none. Raises `StorageFull`; then the line still has none."""
        if self.done[number]:
            return
        record = record_of(number, result)
        try:
            written = os.write(self._file, record)
            if written != len(record):
                raise OSError("short write")
        except OSError as fault:
            os.ftruncate(self._file, self._size)
            raise StorageFull(f"the result of a batch's line cannot be written: {fault.strerror or fault}", retry_after=1) from fault
        self._size += len(record)
        self._count(number, not result.code, result.cost, result.cost if result.full is None else result.full, result.code)

    def sync(self) -> None:
        """Bring what was added to disk; blocks."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _count(self, number: int, good: bool, cost: int, full: int, code: str) -> None:
        self.done[number] = 1
        self.cost += cost
        self.full += full
        if good:
            self.good += 1
        else:
            self.bad += 1
            self.codes[code] += 1


def record_of(number: int, result: Result) -> bytes:
    """A result as the log has it. Line breaks in valid JSON are white space, so they can go."""
    text = result.json
    if b"\n" in text or b"\r" in text:
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    code = re.sub(r"\s", "_", result.code)[:100] or "-"
    cost = str(result.cost) if result.full is None else f"{result.cost}+{result.full}"
    head = b"%d %s %s %s " % (number, BAD if result.code else GOOD, cost.encode(), code.encode())
    return b"%s%08x %s\n" % (head, zlib.crc32(text, zlib.crc32(head)), text)


def _records(path: Path) -> Iterator[tuple[int, bool, tuple[int, int], str, int, bytes]]:
    """Number, whether good, cost, code, size and JSON of each record, as far as they are whole."""
    with path.open("rb", buffering=BLOCK) as file:
        for line in file:
            found = _HEAD.match(line)
            if found is None or not line.endswith(b"\n"):
                return
            text = line[found.end() : -1]
            if zlib.crc32(text, zlib.crc32(line[: found.start(5)])) != int(found[5], 16):
                return
            code = found[4].decode()
            cost, _, full = found[3].partition(b"+")
            yield int(found[1]), found[2] == GOOD, (int(cost), int(full or cost)), "" if code == "-" else code, len(line), text


def blocks(folder: Path, total: int, *, good: bool | None) -> Iterator[bytes]:
    """The results as lines, each line's first one only: the good ones, the others, or (None) all, in blocks; blocks while reading."""
    seen = bytearray(total)
    held: list[bytes] = []
    size = 0
    if not (folder / LOG_FILE).exists():
        return
    for number, was_good, _, _, length, text in _records(folder / LOG_FILE):
        if number >= total or seen[number]:
            continue
        seen[number] = 1
        if good is None or was_good == good:
            held += (text, b"\n")
            size += length
            if size >= BLOCK // 2:
                yield b"".join(held)
                held.clear()
                size = 0
    if held:
        yield b"".join(held)
