"""The inbox of the telemetry store: batches that are safe and not stored yet, a file each, in a folder that all processes share.

A batch is written beside its name and renamed to it, so a file that is there is whole: once `Inbox.put` returns, the kernel holds the batch
and the death of any process cannot lose it. Whoever stores a batch notes its name in the same transaction, then removes the file: killed
in between, the next one sees that the name is known. ``durable`` has the disk hold it too, which survives loss of power.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from pathlib import Path

import msgspec

from penstock.kernel.errors import StorageError, StorageFull

SUFFIX = ".jsonl"
SET_ASIDE = ".unreadable"
_NAME = re.compile(r"[0-9a-zA-Z_-]{1,64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

LOOK_EVERY = 32
"""Batches put by this process between two looks at how much waits altogether."""

STALE_SECONDS = 600.0
"""Age at which a file that was never renamed belongs to a dead process."""


class Waiting(msgspec.Struct, frozen=True):
    """One batch that waits: its name, its file, and its size in bytes."""

    batch: str
    path: Path
    bytes: int


class Inbox:
    """A folder of batches. Any number of processes put, one takes."""

    def __init__(self, folder: Path, *, most_bytes: int = 1 << 30, durable: bool = False) -> None:
        """Makes the folder, which only its owner can enter. Raises `StorageError` when it cannot be made."""
        self.folder = folder
        self._most = most_bytes
        self._durable = durable
        self._put = 0
        self._full = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise StorageError(f"{folder}: the telemetry store's inbox cannot be made: {fault.strerror}") from fault

    def put(self, batch: str, data: bytes) -> None:
        """Keep one batch. Raises `StorageFull` when the disk, or what may wait here, is full: then nothing was kept."""
        if _NAME.fullmatch(batch) is None:
            raise ValueError("a batch is named by 1 to 64 of the characters 0-9, a-z, A-Z, _ and -")
        # The time first, so that names sort in the order of arrival; the rest keeps two processes apart that are sent the same batch.
        name = f"{time.time_ns():016x}.{secrets.token_hex(3)}.{batch}"
        unfinished = self.folder / f"{name}.part"
        try:
            if self._full or self._put % LOOK_EVERY == 0:
                self._full = sum(one.bytes for one in self.waiting()) + len(data) > self._most
            if self._full:
                raise StorageFull("the telemetry store is behind: more waits than telemetry may keep; send again later", retry_after=5)
            self._put += 1
            fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                if self._durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            unfinished.rename(self.folder / f"{name}{SUFFIX}")
            if self._durable:
                folder = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as fault:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            if fault.errno in _FULL:
                raise StorageFull("no room for another batch of telemetry: free disk space", retry_after=5) from fault
            raise StorageError(f"the telemetry store's inbox failed: {fault.strerror}") from fault

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        with os.scandir(self.folder) as entries:
            return not any(_batch(entry.name) for entry in entries)

    def waiting(self) -> list[Waiting]:
        """What waits, oldest first."""
        found: list[Waiting] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if batch := _batch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        found.append(Waiting(batch, Path(entry.path), entry.stat().st_size))
        found.sort(key=lambda one: one.path.name)
        return found

    def done(self, taken: Waiting) -> None:
        """This batch is stored."""
        taken.path.unlink(missing_ok=True)

    def set_aside(self, taken: Waiting) -> None:
        """This batch cannot be stored: keep it under another name for a person to look at."""
        taken.path.rename(taken.path.with_suffix(SET_ASIDE))

    def clean(self) -> None:
        """Remove what dead processes did not finish writing; nobody was told that it was safe."""
        before = time.time() - STALE_SECONDS
        for path in self.folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()


def put_at(name: str) -> float | None:
    """When the batch in the file of this name was put here, in seconds since 1970; None for a file that holds none that waits."""
    if not _batch(name):
        return None
    try:
        return int(name.partition(".")[0], 16) / 1e9
    except ValueError:  # named like a batch, and not by us
        return None


def _batch(name: str) -> str:
    """The name of the batch that a file of this name holds; empty for a file that is not ours."""
    return name[: -len(SUFFIX)].partition(".")[2].partition(".")[2] if name.endswith(SUFFIX) else ""
