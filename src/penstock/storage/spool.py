"""The spool: an append-only journal of files that makes an entry safe against ``kill -9`` in a few microseconds.

An entry is framed and written into a segment whose room was allocated beforehand: through a shared mapping where the file system keeps
allocated room (`keeps_room`), with one ``pwrite`` elsewhere. Once `Spool.append` returns, the kernel holds the entry and the death of the
process cannot lose it; with ``durability="disk"`` `Spool.commit` waits until the disk holds it
too, which survives loss of power. A reader hands entries to a consumer that must be idempotent, and a segment is deleted only after the
consumer has them all: an entry is delivered at least once.

Room is taken before it is needed: `Spool.hold` sets aside the room of one entry and fails while nothing has been spent yet; an append
that was held for cannot fail for want of space (on file systems that honour ``posix_fallocate``; copy-on-write ones may not).

::

    root/                       one spool, any number of processes
      1f03-9c0ffee1d2a4/        one process at a time: pid and a random part
        lock                    flock; names the holder
        00000001.seg
        00000002.seg

A folder whose lock nobody holds belongs to a dead process; `adopt` takes it over so that its entries can be read.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import mmap
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from penstock.kernel.errors import StorageError, StorageFull
from penstock.storage.segments import (
    FRAME,
    HEADER,
    MAGIC,
    MAX_ENTRY,
    UNSEEN,
    Batch,
    Depth,
    Segment,
    SpoolFolder,
    adopt,
    checksum,
    damaged_files,
    keeps_room,
)

__all__ = ["MAX_ENTRY", "Batch", "Depth", "Durability", "Spool", "SpoolFolder", "adopt", "damaged_files"]

Durability = Literal["process", "disk"]

SEGMENT_BYTES = 4 << 20
_SLOT = FRAME.size + MAX_ENTRY
_RETRY_FULL_SECONDS = 0.25


class Spool(SpoolFolder):
    """The writing side: one per process, in a folder of its own under ``root``.

    `hold`, `release`, `append` and `commit` belong to one thread (the event loop); reading may go on in another at the same time.
    """

    def __init__(
        self,
        root: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        durability: Durability = "process",
        mapped: bool | None = None,
    ) -> None:
        """Make a folder and its first segment. Raises `StorageFull` when there is no room even for that.

        ``mapped`` writes through a mapping, which spares a system call that lets other threads have the interpreter's lock (20 to
        40 us of a call under load); None: where `keeps_room` says that it is safe.
        """
        if segment_bytes < len(HEADER) + _SLOT:
            raise ValueError(f"a segment takes at least {len(HEADER) + _SLOT} bytes")
        self._move_in(root)
        self.durability: Durability = durability
        self._mapped = keeps_room(self.path) if mapped is None else mapped
        self._segment_bytes = segment_bytes
        self._slots_each = (segment_bytes - len(HEADER)) // _SLOT
        self._standby: deque[Segment] = deque()
        self._numbers = itertools.count(1)
        self._held = 0
        self._slots = 0
        self._full_until = 0.0
        self._group = _GroupCommit()
        self._dirty: list[int] = []
        try:
            self._current = self._allocate()
        except StorageFull:
            self.close()
            raise
        self.segments.append(self._current)
        self._count_slots()

    def _move_in(self, root: Path) -> None:
        # Locked before it can be seen: between its making and its lock, a process that just starts would take it for a dead one's.
        name = f"{os.getpid():x}-{secrets.token_hex(6)}"
        super().__init__(root / f"{UNSEEN}{name}")
        self.path, self.name = self.path.rename(root / name), name

    def hold(self) -> None:
        """Set aside the room of one entry. Raises `StorageFull` when there is none: then begin nothing that must be journalled."""
        if self._held >= self._slots:
            self._grow()
        self._held += 1

    def release(self) -> None:
        """Give back room that was held and is not needed."""
        self._held -= 1

    def has_room(self) -> bool:
        """Whether `hold` would succeed now."""
        try:
            if self._held >= self._slots:
                self._grow()
        except StorageFull:
            return False
        return True

    def append(self, payload: bytes) -> None:
        """Journal one entry that was held for; on return it survives the death of the process. Uses up the hold.

        ``payload`` has 1 to `MAX_ENTRY` bytes, else ValueError. Raises `StorageError` when the kernel refuses the write: then the entry
        is not journalled and the hold stays.
        """
        length = len(payload)
        if not 0 < length <= MAX_ENTRY:
            raise ValueError(f"an entry has 1 to {MAX_ENTRY} bytes, not {length}")
        size = FRAME.size + length
        segment = self._current
        if segment.written + size > segment.size:
            segment = self._next_segment()
        at = segment.written
        frame = FRAME.pack(MAGIC, length, checksum(payload, at)) + payload
        if segment.map is not None:
            segment.map[at : at + size] = frame
        else:
            self._put(segment, frame, at)
        # Last: the reader believes everything before this position.
        segment.written = at + size
        self._held -= 1
        self._count_slots()

    @staticmethod
    def _put(segment: Segment, frame: bytes, at: int) -> None:
        try:
            put = os.pwrite(segment.fd, frame, at)
        except OSError as fault:
            raise StorageError(f"{segment.path}: the entry could not be written: {fault.strerror}; check the disk") from fault
        if put != len(frame):
            raise StorageError(f"{segment.path}: only {put} of {len(frame)} bytes could be written; free disk space")

    async def commit(self) -> None:
        """Return when everything appended so far survives loss of power; at once unless ``durability`` is ``disk``.

        Callers that wait together share one ``fdatasync``. Raises `StorageError` when the disk reports a fault.
        """
        if self.durability == "disk":
            await self._group.join(self._unsynced)

    def prepare(self) -> None:
        """Allocate the next segment ahead of need; for the background thread, so that the line rarely does it. Never raises."""
        if not self._standby and time.monotonic() >= self._full_until:
            try:
                self._standby.append(self._allocate())
            except StorageError:
                self._full_until = time.monotonic() + _RETRY_FULL_SECONDS

    def seal(self) -> None:
        """End the writing; what was appended can still be read and drained. `hold` raises `StorageFull` from now on."""
        self._current.sealed = True
        while self._standby:
            self._standby.popleft().remove()
        self._slots = 0
        self._full_until = float("inf")

    def close(self) -> None:
        """Release the folder, deleting it when everything in it was drained. Call `seal` and drain before."""
        self._group.close()
        for fd in self._dirty:
            os.close(fd)
        for segment in self._standby:
            segment.remove()
        super().close()

    def _count_slots(self) -> None:
        self._slots = (self._current.size - self._current.written) // _SLOT + len(self._standby) * self._slots_each

    def _grow(self) -> None:
        self._count_slots()
        while self._held >= self._slots:
            if time.monotonic() < self._full_until:
                raise StorageFull(f"no room in {self.path.parent} to journal another entry; free disk space", retry_after=1)
            try:
                self._standby.append(self._allocate())
            except StorageFull:
                self._full_until = time.monotonic() + _RETRY_FULL_SECONDS
                raise
            self._count_slots()

    def _next_segment(self) -> Segment:
        if not self._standby:
            self._standby.append(self._allocate())
        following = self._standby.popleft()
        self.segments.append(following)
        if self.durability == "disk":
            # A copy of the descriptor, taken while the reader cannot yet close the original.
            self._dirty.append(os.dup(self._current.fd))
        self._current.sealed = True
        self._current = following
        return following

    def _allocate(self) -> Segment:
        path = self.path / f"{next(self._numbers):08d}.seg"
        fd = -1
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            _reserve(fd, self._segment_bytes)
            os.pwrite(fd, HEADER, 0)
            if self.durability == "disk":
                os.fsync(fd)
                _sync_folder(self.path)
            segment = Segment(path, fd, self._segment_bytes, crashed=False)
            if self._mapped:
                segment.map = mmap.mmap(fd, self._segment_bytes)
        except OSError as fault:
            if fd >= 0:
                os.close(fd)
                path.unlink(missing_ok=True)
            kind = StorageFull if fault.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(f"{path}: no segment could be allocated: {fault.strerror}; free disk space", retry_after=1) from fault
        return segment

    def _unsynced(self) -> list[int]:
        dirty, self._dirty = self._dirty, []
        return [*dirty, os.dup(self._current.fd)]


class _GroupCommit:
    """Callers that wait while one ``fdatasync`` runs share the next."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def join(self, unsynced: Callable[[], list[int]]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(unsynced))
        await waiter

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    async def _run(self, unsynced: Callable[[], list[int]]) -> None:
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "spool-sync")
        while self._waiters:
            waiters, self._waiters = self._waiters, []
            try:
                await loop.run_in_executor(self._pool, _sync_and_close, unsynced())
            except OSError as fault:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(StorageError(f"the journal could not be synced to disk: {fault.strerror}; check the disk"))
            else:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)


def _reserve(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:  # macOS: writing zeros takes the room just as well
        os.pwrite(fd, bytes(size), 0)


def _sync_and_close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        try:
            getattr(os, "fdatasync", os.fsync)(fd)
        finally:
            os.close(fd)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
