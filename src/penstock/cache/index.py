"""The kept replies in memory: what a look-up sees, and all that it sees. Bounded by bytes and entries; the least used leave first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from penstock.cache.neighbours import Neighbours
from penstock.kernel.call import Usage

OVERHEAD = 700
"""Bytes that an entry takes in memory beside its reply and its vector, roughly: measured on CPython 3.11 with short names."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One kept reply, as it was sent. Times are Unix seconds.

    ``key`` is the digest of its request. Those that a semantic look-up may find have a ``partition`` (everything but the last question),
    a ``vector`` of that question by the model ``embedder``, its ``wording``, and a digest of the ``answer``.
    """

    key: bytes
    organisation: str
    task: str
    model: str
    provider: str
    provider_model: str
    shape: str
    stream: bool
    shown_usage: bool
    media: str
    call: str
    created: float
    expires: float
    usage: Usage
    reply: bytes
    partition: bytes | None = None
    wording: bytes | None = None
    answer: bytes | None = None
    embedder: str | None = None
    vector: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return len(self.reply) + OVERHEAD + (len(self.vector) if self.vector is not None else 0)


class Index:
    """Entries by digest. ``dropped`` hears the keys of entries that left to make room, or were past their time."""

    def __init__(self, *, max_bytes: int, max_entries: int, neighbours: int, dropped: Callable[[bytes], None]) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._partitions: dict[bytes, Neighbours] = {}
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._neighbours = neighbours
        self._dropped = dropped
        self.bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes, now: float) -> Entry | None:
        """The entry, which counts as used; None when there is none, or no longer."""
        found = self._entries.get(key)
        if found is None:
            return None
        if found.expires <= now:
            self._leave(key)
            return None
        self._entries.move_to_end(key)
        return found

    def full(self, entry: Entry) -> bool:
        """Whether something would have to leave for ``entry``."""
        return self.bytes + entry.size > self._max_bytes or len(self._entries) >= self._max_entries

    def put(self, entry: Entry, *, coldest: bool = False) -> None:
        """Keep an entry in the place of the one with its key; what is used least makes room, which is this one where it is ``coldest``.

        One that is larger than all the room is not kept.
        """
        if entry.size > self._max_bytes:
            return
        self.remove(entry.key)
        self._entries[entry.key] = entry
        if coldest:
            self._entries.move_to_end(entry.key, last=False)
        self.bytes += entry.size
        if entry.partition is not None and entry.vector is not None:
            partition = self._partitions.get(entry.partition)
            if partition is None:
                partition = self._partitions[entry.partition] = Neighbours(len(entry.vector) // 4)
            partition.add(entry.key, entry.vector, entry.answer or b"")
            if len(partition) > self._neighbours:
                partition.remove(partition.oldest())
        while self.bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self.evicted += 1
            self._leave(next(iter(self._entries)))

    def remove(self, key: bytes) -> Entry | None:
        """Forget an entry."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.bytes -= entry.size
        if entry.partition is not None and (partition := self._partitions.get(entry.partition)) is not None:
            partition.remove(key)
            if not len(partition):
                del self._partitions[entry.partition]
        return entry

    def nearest(self, partition: bytes, vector: bytes, now: float) -> tuple[Entry, float, float] | None:
        """The entry of a partition whose question is nearest to ``vector``, the cosine between the two, and that of the nearest question
        with another answer."""
        near = self._partitions.get(partition)
        while near is not None and len(near):
            key, similarity, other = near.nearest(vector)
            entry = self.get(key, now)
            if entry is not None:
                return entry, similarity, other
            near = self._partitions.get(partition)
        return None

    def sweep(self, now: float) -> None:
        """Let go of everything that is past its time."""
        for key in [entry.key for entry in self._entries.values() if entry.expires <= now]:
            self._leave(key)

    def entries(self) -> Iterable[Entry]:
        """All entries, the least used first."""
        return self._entries.values()

    def _leave(self, key: bytes) -> None:
        self.remove(key)
        self._dropped(key)
