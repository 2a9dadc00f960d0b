"""Items of a dataset on their way in: read line by line, refused with the lines' numbers, written only when all are in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from penstock.quality.examples import Item, fault_of, item_decoder

SHOWN = 100
"""Faults that are told one by one."""
BOM = b"\xef\xbb\xbf"


class LineFault(Struct, frozen=True):
    """What is wrong with a line (from 1)."""

    line: int
    message: str


class Intake:
    """Takes lines, or items that came inline. After the last one, ``faults`` says what is wrong and ``items`` holds what is right."""

    def __init__(self, most_items: int, most_line: int) -> None:
        self._most_items = most_items
        self._most_line = most_line
        self._held = b""
        self._line = 0
        self._ids: dict[str, int] = {}
        self.items: list[Item] = []
        self.faults: list[LineFault] = []
        self.wrong = 0
        self._over = False

    def feed(self, piece: bytes) -> None:
        """Take a piece of a JSONL file."""
        if self._line == 0 and not self._held:
            piece = piece.removeprefix(BOM)
        *lines, self._held = (self._held + piece).split(b"\n")
        for line in lines:
            self._take(line)
        if self._over:
            self._held = b""
        elif len(self._held) > self._most_line + 1:  # it has not ended, and need not be kept
            self._line += 1
            self._too_long()
            self._line -= 1
            self._held, self._over = b"", True

    def end(self) -> None:
        """There is no more."""
        if self._held:
            self._take(self._held)
            self._held = b""
        if not self.items and not self.faults:
            self._fault("there are no items")

    def add(self, item: Item) -> None:
        """Take an item that came inline; its number counts as its line."""
        self._line += 1
        self._keep(item)

    def _take(self, line: bytes) -> None:
        self._line += 1
        if self._over:  # the end of a line that was too long
            self._over = False
            return
        line = line.strip()
        if not line:
            return
        if len(line) > self._most_line:
            self._too_long()
            return
        try:
            item = item_decoder.decode(line)
        except msgspec.ValidationError as fault:
            self._fault(str(fault))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fault("not valid JSON in UTF-8")
        else:
            self._keep(item)

    def _keep(self, item: Item) -> None:
        if (wrong := fault_of(item)) is not None:
            self._fault(wrong)
        elif (before := self._ids.get(item.id)) is not None:
            self._fault(f"the id {item.id[:60]!r} stands on line {before} already")
        elif len(self.items) >= self._most_items:
            if not any("quality.max_items" in fault.message for fault in self.faults):
                self._fault(f"more than {self._most_items} items (quality.max_items)")
        else:
            self._ids[item.id] = self._line
            self.items.append(item)

    def _too_long(self) -> None:
        self._fault(f"the line is longer than {self._most_line} bytes (quality.max_line_bytes)")

    def _fault(self, message: str) -> None:
        self.wrong += 1
        if len(self.faults) < SHOWN:
            self.faults.append(LineFault(self._line, message))


def bodies(items: list[Item]) -> Iterator[bytes]:
    """Each item as it is stored: its fields in order, those with their defaults left out."""
    return (msgspec.json.encode(item, order="deterministic") for item in items)


def digest_of(items: list[Item]) -> str:
    """SHA-256 of the items, in hex: the same for the same items in the same order, however they were written."""
    hashed = hashlib.sha256()
    for body in bodies(items):
        hashed.update(body)
        hashed.update(b"\n")
    return hashed.hexdigest()


__all__ = ["SHOWN", "Intake", "LineFault", "bodies", "digest_of"]
