"""A look into the spools of the ledger that changes nothing: no lock is kept, nothing is moved, files that go meanwhile are let go.

Also spools of running processes are read: what they hold and the database does not have yet is on its way.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from penstock.finops.money import amount
from penstock.finops.rows import LedgerRow, decode
from penstock.storage.segments import FRAME, HEADER, MAX_ENTRY, damaged_files, scan

WINDOW = 1 << 20
"""Bytes of a segment that are in memory at once."""

Known = Callable[[Sequence[str]], Mapping[str, LedgerRow | None]]
"""The rows on the ledger that have these ids, by id; None for one that is there and cannot be read."""


class Stretch(msgspec.Struct, frozen=True):
    """A part of a segment: entries in order, bytes that cannot be read though good entries follow them, and (in the last part) bytes that
    stand after the last good entry: a write that was cut off, which nobody was told was safe."""

    entries: list[bytes]
    damaged: int
    cut_off: int


class Journals(msgspec.Struct, frozen=True, kw_only=True):
    """What the spools hold: ``waiting`` rows of dead processes and ``moving`` ones of running processes that the ledger does not have,
    ``delivered`` ones that it has, ``spools`` of which ``held`` by running processes, and ``cut_off`` bytes of unfinished writes."""

    spools: int = 0
    held: int = 0
    waiting: int = 0
    moving: int = 0
    delivered: int = 0
    cut_off: int = 0


def look(root: Path, known: Known, fault: Callable[[str], None]) -> Journals:
    """Read all spools under ``root`` and compare their rows with the ledger; tells each ``fault``, and returns the counts."""
    for file in damaged_files(root):
        fault(f"{file}: a journal file that cannot be read in full")
    spools = held = waiting = moving = delivered = cut_off = 0
    for folder in sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else ():
        spools += 1
        lives = _lives(folder)
        held += lives
        for segment in sorted(folder.glob("*.seg")):
            for stretch in stretches(segment):
                # What a running process is writing at this moment may look torn; the next start of Penstock would see real damage.
                if stretch.damaged and not lives:
                    fault(f"{segment}: {stretch.damaged} bytes between entries cannot be read")
                cut_off += 0 if lives else stretch.cut_off
                there, missing = _compare(segment, stretch.entries, known, fault)
                delivered += there
                if lives:
                    moving += missing
                else:
                    waiting += missing
    return Journals(spools=spools, held=held, waiting=waiting, moving=moving, delivered=delivered, cut_off=cut_off)


def stretches(segment: Path) -> Iterator[Stretch]:
    """A segment's parts, the last one too when it is empty. Nothing for a file that is gone or was never begun."""
    try:
        fd = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, len(HEADER), 0)
        if not head.strip(b"\0"):
            return  # killed between making the file and beginning it
        if head != HEADER:
            yield Stretch([], size, 0)
            return
        at = good = len(HEADER)  # what is read next, and the end of the last good entry
        while at < size:
            data = os.pread(fd, WINDOW, at)
            found = scan(data, base=at)
            if found.entries:
                yield Stretch(found.entries, at - good + found.damaged, 0)
                at = good = found.end
            elif len(data) < WINDOW:
                break
            else:
                # A whole entry fits into what two windows share.
                at += WINDOW - FRAME.size - MAX_ENTRY
        yield Stretch([], 0, _written(fd, good, size))
    finally:
        os.close(fd)


def _written(fd: int, start: int, end: int) -> int:
    """Bytes from ``start`` to the last one that is not zero: what is beyond is room that was allocated and not used."""
    last = start
    for at in range(start, end, WINDOW):
        data = os.pread(fd, min(WINDOW, end - at), at).rstrip(b"\0")
        if data:
            last = at + len(data)
    return last - start


def _compare(segment: Path, entries: Sequence[bytes], known: Known, fault: Callable[[str], None]) -> tuple[int, int]:
    rows: dict[str, LedgerRow] = {}
    for entry in entries:
        try:
            row = decode(entry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            fault(f"{segment}: an entry of {len(entry)} bytes is no ledger row of this version")
            continue
        should = amount(row.prices, row.usage) if row.prices is not None else 0
        if should != row.amount and row.corrects is None:
            fault(f"{row.id}: {row.amount} in the journal, {should} by its prices")
        rows[row.id] = row
    if not rows:
        return 0, 0
    there = known(tuple(rows))
    for id, row in there.items():
        if row is not None and row != rows[id]:
            fault(f"{id}: what the ledger has is not what {segment} has journalled")
    return len(there), len(rows) - len(there)


def _lives(folder: Path) -> bool:
    """Whether a process holds the spool at this moment."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)  # lets go of the lock at once
    return False
