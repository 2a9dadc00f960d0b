"""Counters of the workers of one machine, in memory that all of them map: exact, at a few microseconds a question, without a server.

Every question but giving a slot back is answered under a lock of the kernel's (a byte range of the shared file), which ends with the
process that holds it. The clock is the machine's monotonic one, the same in every process. So the limits hold
for all workers together as `MemoryCounters` holds them for one: nothing is leased ahead and nothing lies unused.

The memory has a fixed size and is divided into sets; a key lives in the set that its digest names. A bucket that is full again is room for
another. When a set has no room at all (more than 60,000 keys with spent buckets, evenly spread, within one minute), the bucket that would
be full soonest is forgotten, which grants its key that little too early; `SharedCounters.forgotten` counts it. Slots are kept by worker,
so that those of one that died are freed when the supervisor has seen its end.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b

from penstock.storage.counters import SLACK, Renewal

SETS = 1024
WAYS = 64
_DIGEST = 16
_BUCKET = struct.Struct("=16sd8x")
_FULL_AT = struct.Struct("=d")
# Native, so that a count is read and written whole, which `SharedCounters.leave` stands on.
_COUNT = struct.Struct("@I")
_BUCKETS_BYTES = SETS * WAYS * _BUCKET.size
_EMPTY = bytes(_DIGEST)

SLOT_SETS = 256
MOST_PLACES = 10_000
"""Keys whose digest a process remembers."""


def shared_memory(workers: int) -> int:
    """A file descriptor of fresh memory for the counters of so many workers; it can be inherited."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("penstock-counters", 0)
    else:  # Linux alone has memory without a name
        with tempfile.TemporaryFile(prefix="penstock-counters-") as file:
            handle = os.dup(file.fileno())
        os.set_inheritable(handle, True)
    os.ftruncate(handle, _BUCKETS_BYTES + SLOT_SETS * WAYS * _slot_row(workers))
    return handle


class SharedCounters:
    """`Counters` of one of ``workers`` processes that share ``handle``, which `shared_memory` has made."""

    def __init__(self, handle: int, index: int, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._handle = handle
        self._index = index
        self._clock = clock
        self._row = _slot_row(workers)
        self._counts = struct.Struct(f"@{workers}I")
        self._map = mmap.mmap(handle, _BUCKETS_BYTES + SLOT_SETS * WAYS * self._row)
        self._digests: dict[str, bytes] = {}
        self.forgotten = 0

    def take(self, key: str, amount: int, per_minute: int, burst: int | None = None) -> float:
        """See `Counters.take`."""
        if per_minute <= 0:
            return float("inf")
        seconds = 60.0 / per_minute
        holds = 60.0 if burst is None else burst * seconds
        cost = amount * seconds
        digest = self._digest(key)
        with self._locked(_set_of(digest)):
            now = self._clock()
            at = self._find(digest)
            full_at = _FULL_AT.unpack_from(self._map, at + _DIGEST)[0] if at >= 0 else now
            full_at = (full_at if full_at > now else now) + cost
            wait = full_at - now - holds
            if wait > SLACK:
                return wait if cost <= holds + SLACK else float("inf")
            if cost > 0:
                self._put(digest, at, full_at, now)
        return 0.0

    def adjust(self, key: str, amount: int, per_minute: int) -> None:
        """See `Counters.adjust`."""
        if per_minute <= 0:
            return
        digest = self._digest(key)
        with self._locked(_set_of(digest)):
            now = self._clock()
            at = self._find(digest)
            full_at = _FULL_AT.unpack_from(self._map, at + _DIGEST)[0] if at >= 0 else now
            full_at = max(full_at, now) + amount * 60.0 / per_minute
            if at >= 0 or full_at > now:
                self._put(digest, at, full_at, now)

    def enter(self, key: str, limit: int) -> bool:
        """See `Counters.enter`."""
        digest = self._digest(key)
        with self._locked(SETS + _slot_set_of(digest)):
            at = self._find_slots(digest)
            if at < 0:
                if limit < 1:
                    return False
                at = self._free_slots(digest)
                if at < 0:
                    # 64 keys of one set have calls in flight: refused rather than let in uncounted.
                    return False
                self._map[at : at + _DIGEST] = digest
            elif sum(self._counts.unpack_from(self._map, at + _DIGEST)) >= limit:
                return False
            own = at + _DIGEST + 4 * self._index
            _COUNT.pack_into(self._map, own, _COUNT.unpack_from(self._map, own)[0] + 1)
        return True

    def leave(self, key: str) -> None:
        """See `Counters.leave`.

        Without the lock: this worker alone writes its count, and a row with a count in it is no other key's. Who counts meanwhile sees
        the slot still taken or free, as if it had asked a moment earlier or later.
        """
        at = self._find_slots(self._digest(key))
        if at < 0:
            return
        own = at + _DIGEST + 4 * self._index
        count = _COUNT.unpack_from(self._map, own)[0]
        if count:
            _COUNT.pack_into(self._map, own, count - 1)

    def occupied(self, key: str) -> int:
        """See `Counters.occupied`; the slots of all workers."""
        digest = self._digest(key)
        with self._locked(SETS + _slot_set_of(digest)):
            at = self._find_slots(digest)
            return sum(self._counts.unpack_from(self._map, at + _DIGEST)) if at >= 0 else 0

    def renewal(self, key: str) -> Renewal | None:
        """See `Counters.renewal`: what this says is the truth already."""
        return None

    def free(self, index: int) -> None:
        """Free every slot of the worker ``index``, which has ended."""
        for group in range(SLOT_SETS):
            with self._locked(SETS + group):
                start = self._slots_at(group)
                for at in range(start, start + WAYS * self._row, self._row):
                    own = at + _DIGEST + 4 * index
                    if self._map[own : own + 4] != b"\0\0\0\0":
                        _COUNT.pack_into(self._map, own, 0)

    def close(self) -> None:
        """Let go of the memory; the others keep it."""
        self._map.close()

    def _locked(self, group: int) -> _Lock:
        return _Lock(self._handle, group)

    def _digest(self, key: str) -> bytes:
        digest = self._digests.get(key)
        if digest is None:
            if len(self._digests) >= MOST_PLACES:
                self._digests.clear()
            digest = self._digests[key] = blake2b(key.encode(), digest_size=_DIGEST).digest()
        return digest

    def _find(self, digest: bytes) -> int:
        start = _set_of(digest) * WAYS * _BUCKET.size
        return _row_with(self._map, digest, start, WAYS, _BUCKET.size)

    def _put(self, digest: bytes, at: int, full_at: float, now: float) -> None:
        if at < 0:
            at = self._room(digest, now)
            self._map[at : at + _DIGEST] = digest
        _FULL_AT.pack_into(self._map, at + _DIGEST, full_at)

    def _room(self, digest: bytes, now: float) -> int:
        start = _set_of(digest) * WAYS * _BUCKET.size
        empty = _row_with(self._map, _EMPTY, start, WAYS, _BUCKET.size)
        if empty >= 0:
            return empty
        full = [(_FULL_AT.unpack_from(self._map, at + _DIGEST)[0], at) for at in range(start, start + WAYS * _BUCKET.size, _BUCKET.size)]
        soonest, at = min(full)
        if soonest > now:
            self.forgotten += 1
        return at

    def _slots_at(self, group: int) -> int:
        return _BUCKETS_BYTES + group * WAYS * self._row

    def _find_slots(self, digest: bytes) -> int:
        return _row_with(self._map, digest, self._slots_at(_slot_set_of(digest)), WAYS, self._row)

    def _free_slots(self, digest: bytes) -> int:
        start = self._slots_at(_slot_set_of(digest))
        for at in range(start, start + WAYS * self._row, self._row):
            if not any(self._counts.unpack_from(self._map, at + _DIGEST)):
                return at
        return -1


class _Lock:
    # A generator's context manager costs as much as the two system calls.
    __slots__ = ("_group", "_handle")

    def __init__(self, handle: int, group: int) -> None:
        self._handle = handle
        self._group = group

    def __enter__(self) -> None:
        fcntl.lockf(self._handle, fcntl.LOCK_EX, 1, self._group)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, self._group)


def _row_with(memory: mmap.mmap, digest: bytes, start: int, rows: int, size: int) -> int:
    end = start + rows * size
    at = memory.find(digest, start, end)
    while at >= 0 and (at - start) % size:
        at = memory.find(digest, at + 1, end)
    return at


def _set_of(digest: bytes) -> int:
    return int.from_bytes(digest[:4], "little") % SETS


def _slot_set_of(digest: bytes) -> int:
    return int.from_bytes(digest[4:8], "little") % SLOT_SETS


def _slot_row(workers: int) -> int:
    return _DIGEST + 4 * workers + (-4 * workers) % 16
