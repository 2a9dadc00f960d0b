"""The slices of a batch that go to a vendor's own batches: their lines on disk, and how far each is, noted before anything is asked for."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from penstock.kernel.delegation import Handed, Limits
from penstock.kernel.principal import Principal

NOTES_FILE = "slices.json"
PIECE = 1 << 18
WRITTEN, SUBMITTING, SUBMITTED, ENDED = "written", "submitting", "submitted", "ended"


class Slice(msgspec.Struct, kw_only=True):
    """One batch at a vendor. ``state``: its lines are ``written`` here, it is being ``submitting`` (from then on it may be there),
    ``submitted`` under the vendor's id ``vendor``, or ``ended``. ``since`` is when submitting began, in Unix seconds. ``model`` is the
    vendor's name for it, ``tasks`` are those that its lines named, None where they named none; both are empty in notes of before.
    """

    id: str
    provider: str
    count: int
    state: str = WRITTEN
    file: str | None = None
    vendor: str | None = None
    since: float = 0.0
    model: str = ""
    tasks: list[str | None] = msgspec.field(default_factory=list[str | None])


class Notes(msgspec.Struct, kw_only=True):
    """All that must survive. ``why`` is why work ended early; ``principal`` is who asked, also when the key is gone by the end."""

    slices: list[Slice] = msgspec.field(default_factory=list[Slice])
    principal: Principal | None = None
    why: str | None = None


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A line of a slice: its number in the batch, and what was handed over, without the body."""

    number: int
    handed: Handed


_index = msgspec.json.Decoder(Entry)


class Slices:
    """The slices of the batch whose folder this is. Reading and writing blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.notes = msgspec.json.decode((folder / NOTES_FILE).read_bytes(), type=Notes)
        except FileNotFoundError:
            self.notes = Notes()

    def save(self) -> None:
        """Bring the notes to disk."""
        draft = self._folder / (NOTES_FILE + ".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(self.notes))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / NOTES_FILE)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @property
    def waiting(self) -> list[Slice]:
        """Slices that have not ended."""
        return [one for one in self.notes.slices if one.state != ENDED]

    def numbers(self, total: int) -> bytearray:
        """1 for each line that stands in a slice, ended or not."""
        found = bytearray(total)
        for one in self.notes.slices:
            for entry in self.entries(one):
                found[entry.number] = 1
        return found

    def entries(self, one: Slice) -> Iterator[Entry]:
        """The lines of a slice."""
        with (self._folder / f"{one.id}.index").open("rb") as file:
            for line in file:
                yield _index.decode(line)

    async def lines(self, one: Slice) -> AsyncIterator[bytes]:
        """The lines as the vendor takes them, in pieces that end with a line; memory does not grow with the slice."""
        file = await asyncio.to_thread((self._folder / f"{one.id}.jsonl").open, "rb")
        try:
            while piece := await asyncio.to_thread(file.readlines, PIECE):
                yield b"".join(piece)
        finally:
            file.close()


class Writer:
    """Lines on their way into slices, each of one provider and model, and within the vendor's limits; nothing is noted until `close`."""

    def __init__(self, slices: Slices, folder: Path) -> None:
        self._slices = slices
        self._folder = folder
        self._open: dict[tuple[str, str], _Open] = {}
        self._full: list[_Open] = []

    def id(self, handed: Handed, size: int, limits: Limits) -> str:
        """The id of the slice into which a line of ``size`` bytes would go."""
        place = handed.provider, handed.model
        one = self._open.get(place)
        if one is not None and (one.slice.count >= limits.lines or one.size + size > limits.bytes):
            self._full.append(self._open.pop(place))
            one = None
        if one is None:
            one = self._open[place] = _Open(self._folder, handed.provider, handed.model)
        return one.slice.id

    def add(self, number: int, handed: Handed, line: bytes) -> None:
        """Write a line into the slice that `id` named."""
        self._open[handed.provider, handed.model].add(number, handed, line)

    def close(self, principal: Principal | None) -> None:
        """Finish the slices, durably, and note them."""
        for one in (*self._full, *self._open.values()):
            one.close()
            self._slices.notes.slices.append(one.slice)
        if self._full or self._open:
            self._slices.notes.principal = self._slices.notes.principal or principal
            self._slices.save()
        self._full, self._open = [], {}

    def discard(self) -> None:
        """Forget the lines."""
        for one in (*self._full, *self._open.values()):
            one.discard()
        self._full, self._open = [], {}


class _Open:
    def __init__(self, folder: Path, provider: str, model: str) -> None:
        self.slice = Slice(id=f"ps{secrets.token_hex(12)}", provider=provider, count=0, model=model)
        self.size = 0
        self._paths = folder / f"{self.slice.id}.jsonl", folder / f"{self.slice.id}.index"
        self._lines, self._index = (path.open("wb", buffering=PIECE) for path in self._paths)

    def add(self, number: int, handed: Handed, line: bytes) -> None:
        self._lines.write(line + b"\n")
        self._index.write(msgspec.json.encode(Entry(number, msgspec.structs.replace(handed, body=b""))) + b"\n")
        if handed.task not in self.slice.tasks:
            self.slice.tasks.append(handed.task)
        self.slice.count += 1
        self.size += len(line) + 1

    def close(self) -> None:
        for file in (self._lines, self._index):
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def discard(self) -> None:
        for file, path in zip((self._lines, self._index), self._paths, strict=True):
            file.close()
            path.unlink(missing_ok=True)
