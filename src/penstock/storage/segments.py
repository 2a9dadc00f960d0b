"""What stands in a spool's files, and how it is read back: frames, segments, and the folder of one process.

A frame is a magic number, the length of its payload, a CRC-32 of payload, length and position, and the payload. A segment is
``PNSPOOL1``, frames, then zeros: room that was allocated and not used. Reading never fails on what a crash or a bad disk left behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import time
import zlib
from collections import deque
from pathlib import Path

import msgspec

from penstock.kernel.errors import StorageError

MAX_ENTRY = 16 << 10
"""Longest payload in bytes. A ledger row with all the labels that a caller may send is about 13 kB, and must fit once it is paid for."""

HEADER = b"PNSPOOL1"
FRAME = struct.Struct("<III")
MAGIC = 0x314A50D5  # little-endian D5 50 4A 31: never valid UTF-8, so text is not mistaken for it
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_READ_BYTES = 1 << 20
"""How much one `SpoolFolder.pending` reads."""

UNSEEN = "."
"""Begins the name of a folder that its process has not locked yet; it takes its own name when it is locked."""
MOVING_IN_SECONDS = 60.0
"""A folder not moved into after this long belongs to a process that died on the way; it holds nothing and is taken down by `adopt`."""


class Scan(msgspec.Struct, frozen=True):
    """What one pass over a stretch of a segment found: payloads in order, and the position after the last good frame.

    ``damaged`` counts the bytes before a good frame that cannot be read. Such bytes were acknowledged once, so somebody must be told;
    what follows the last good frame may be a write that was cut off, which was not.
    """

    entries: list[bytes]
    end: int
    damaged: int


class Batch(msgspec.Struct, frozen=True):
    """Entries for a consumer, and where they stand: give the batch back to `SpoolFolder.done` once they are safe elsewhere."""

    entries: list[bytes]
    segment: int
    end: int
    damaged: int


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits: bytes not yet consumed, segments on disk, and bytes that could not be read since the folder was opened."""

    bytes: int
    segments: int
    damaged: int


def scan(data: bytes, *, base: int = 0) -> Scan:
    """Read the frames of ``data``, which stands at position ``base`` of its segment.

    Never raises, whatever the bytes. Steps over damage when a good frame follows it.
    """
    entries: list[bytes] = []
    at = end = damaged = 0
    while at + FRAME.size <= len(data):
        magic, length, crc = FRAME.unpack_from(data, at)
        after = at + FRAME.size + length
        if magic == MAGIC and 0 < length <= MAX_ENTRY and after <= len(data):
            payload = data[at + FRAME.size : after]
            if crc == checksum(payload, base + at):
                damaged += at - end
                entries.append(payload)
                at = end = after
                continue
        at = data.find(_MAGIC_BYTES, at + 1)
        if at < 0:
            break
    return Scan(entries, base + end, damaged)


def checksum(payload: bytes, position: int) -> int:
    # Position and length are part of it: a payload that itself holds a frame cannot pass for one.
    return zlib.crc32(payload, (position * 0x9E3779B1 ^ len(payload)) & 0xFFFFFFFF)


class Segment:
    """One file. ``written`` is moved by the writer, ``drained`` by the reader; each is a plain int, so neither needs a lock.

    ``exact`` says that ``written`` is the end of the last entry; after a crash it is the end of the file and the entries end before it.
    ``map`` is the file in memory where the writer writes it that way.
    """

    __slots__ = ("damaged", "drained", "exact", "fd", "map", "number", "path", "sealed", "size", "written")

    def __init__(self, path: Path, fd: int, size: int, *, crashed: bool) -> None:
        self.path = path
        self.fd = fd
        self.map: mmap.mmap | None = None
        self.number = int(path.stem)
        self.size = size
        self.drained = len(HEADER)
        self.written = max(size, self.drained) if crashed else self.drained
        self.exact = not crashed
        self.sealed = crashed
        self.damaged = 0

    def close(self) -> None:
        """Let go of the file."""
        if self.map is not None:
            self.map.close()
        os.close(self.fd)

    def remove(self) -> None:
        """Forget the file; one that holds damage is kept under another name for a person to look at."""
        self.close()
        if self.damaged:
            self.path.rename(self.path.with_suffix(".damaged"))
        else:
            self.path.unlink(missing_ok=True)


class SpoolFolder:
    """A claimed folder and its segments, oldest first: the reading side, of a live spool and of a dead process's alike.

    `pending` and `done` are for one thread at a time. Raises `StorageError` when another process holds the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._lock = _claim(path)
        self.segments: deque[Segment] = deque()
        self._damaged = 0
        for file in sorted(path.glob("*.seg")):
            fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
            self.segments.append(Segment(file, fd, os.fstat(fd).st_size, crashed=True))

    def pending(self) -> Batch | None:
        """The next entries that are not done, up to about 1 MiB; None when there are none now. The same ones again until `done`."""
        while self.segments:
            segment = self.segments[0]
            # The order matters: once sealed is seen, nothing is written any more and what is read next is final.
            sealed, written = segment.sealed, segment.written
            if segment.drained < written:
                batch = self._read(segment, written)
                if batch.entries:
                    return batch
                self._advance(segment, batch)
            elif not sealed:
                return None
            if sealed and segment.drained >= segment.written:
                self.segments.popleft().remove()
        return None

    def done(self, batch: Batch) -> None:
        """These entries are safe elsewhere; a segment all of whose entries are is deleted. Giving a batch twice changes nothing."""
        if not self.segments or self.segments[0].number != batch.segment or batch.end <= self.segments[0].drained:
            return
        segment = self.segments[0]
        self._advance(segment, batch)
        if segment.sealed and segment.drained >= segment.written:
            self.segments.popleft().remove()

    def depth(self) -> Depth:
        """How much waits. A dead process's segment counts whole until it is read."""
        segments = tuple(self.segments)
        return Depth(bytes=sum(s.written - s.drained for s in segments), segments=len(segments), damaged=self._damaged)

    def close(self) -> None:
        """Release the folder; it is deleted when nothing is left in it."""
        for segment in self.segments:
            segment.close()
        if not self.segments:
            with contextlib.suppress(OSError):  # damaged segments stay, and the folder with them
                (self.path / "lock").unlink()
                self.path.rmdir()
        self.segments.clear()
        os.close(self._lock)

    def _read(self, segment: Segment, written: int) -> Batch:
        span = min(written - segment.drained, _READ_BYTES)
        found = scan(os.pread(segment.fd, span, segment.drained), base=segment.drained)
        if not found.entries and segment.drained + span < written:
            span = written - segment.drained
            found = scan(os.pread(segment.fd, span, segment.drained), base=segment.drained)
        if segment.drained + span < written:
            return Batch(found.entries, segment.number, found.end, found.damaged)
        # What follows the last good frame of a crashed segment is room not used, or a write cut off: nobody was told that it was safe.
        lost = written - found.end if segment.exact else 0
        return Batch(found.entries, segment.number, written, found.damaged + lost)

    def _advance(self, segment: Segment, batch: Batch) -> None:
        segment.drained = batch.end
        segment.damaged += batch.damaged
        self._damaged += batch.damaged


def adopt(root: Path) -> list[SpoolFolder]:
    """Claim every folder under ``root`` whose process is dead, for reading; folders in use are left alone. Oldest first."""
    found: list[SpoolFolder] = []
    if root.is_dir():
        for path in sorted((p for p in root.iterdir() if p.is_dir()), key=_age):
            if path.name.startswith(UNSEEN) and time.time() - _age(path) < MOVING_IN_SECONDS:
                continue
            with contextlib.suppress(StorageError):  # somebody lives there
                found.append(SpoolFolder(path))
    return found


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its owner has just removed it
        return 0.0


def damaged_files(root: Path) -> list[Path]:
    """Segments that were set aside because part of them could not be read; a person decides what becomes of them."""
    return sorted(root.glob("*/*.damaged"))


MOUNTS = Path("/proc/self/mounts")
KEEPS_ROOM = frozenset({"ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})
"""File systems on which room that was allocated stays ours, so that a mapped page can always be written.

Elsewhere (copy-on-write file systems such as btrfs and ZFS, whatever lies under an overlay) a full disk would be met as SIGBUS, which ends
the process, where ``pwrite`` reports an error.
"""


def keeps_room(path: Path) -> bool:
    """Whether ``path`` lies on a file system of `KEEPS_ROOM`; False where that cannot be told (other systems than Linux)."""
    try:
        mounts = MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return False
    path, best, kind = path.resolve(), "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        place = fields[1].replace("\\040", " ")
        # Of two mounts at one place the later one is seen.
        if path.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, fields[2]
    return kind in KEEPS_ROOM


def _claim(path: Path) -> int:
    """Lock the folder for this process and say so in its lock file; the descriptor holds the lock until it is closed."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileExistsError, FileNotFoundError) as fault:  # the former when it goes while mkdir looks whether it is a folder
        raise StorageError(f"{path} is gone: its owner has just removed it") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last owner may have deleted the file between our open and our lock.
        if os.fstat(lock).st_ino != (path / "lock").stat().st_ino:
            raise FileNotFoundError(errno.ENOENT, "its owner has just removed it")
    except BlockingIOError as fault:
        holder = os.pread(lock, 200, 0).decode("utf-8", "replace") or "another process"
        os.close(lock)
        raise StorageError(f"{path} is in use by {holder}; a spool has one writer") from fault
    except FileNotFoundError as fault:
        os.close(lock)
        raise StorageError(f"{path} is gone: its owner has just removed it") from fault
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
    return lock
