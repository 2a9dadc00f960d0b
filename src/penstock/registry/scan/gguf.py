"""GGUF: counts, typed key-value pairs, descriptions of tensors, then their data. Its chat templates are read too.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NoReturn

from penstock.registry.scan.report import Refused
from penstock.registry.scan.templates import read_template

MAGIC = b"GGUF"
_MAX_ENTRIES = 1_000_000
_MAX_TENSORS = 1_000_000
_MAX_TEXT = 64 * 1024 * 1024
_MAX_ARRAY = 16_000_000
_WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY, _UINT32 = 8, 9, 4
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50),
    20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Values in a block and its bytes, by ggml's number of the type (ggml.h, ggml-common.h)."""


def read_gguf(file: BinaryIO, size: int) -> None:
    """Raise `Refused` unless counts, texts and tensors all lie within the file and no template reaches for Python's insides."""
    _Reader(file, size).read()


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.at = file, size, 0
        self.alignment = 32

    def read(self) -> None:
        if self._take(4) != MAGIC:
            _no("it does not begin with GGUF")
        version = self._number(4)
        if version not in (2, 3):
            _no(f"version {version} is not known (2 and 3 are; big-endian files are refused)")
        tensors, entries = self._number(8), self._number(8)
        if tensors > _MAX_TENSORS or entries > _MAX_ENTRIES or (tensors + entries) * 12 > self.size:
            _no("it counts more entries than it can hold")
        names: set[str] = set()
        for _ in range(entries):
            key = self._text(65_535)
            if key in names:
                _no(f"the key {key[:80]!r} stands there twice")
            names.add(key)
            self._value(key, self._number(4), 0)
        spans = [self._tensor(names) for _ in range(tensors)]
        begin = -(-self.at // self.alignment) * self.alignment
        end = 0
        for offset, length, name in sorted(spans):
            if offset < end:
                _no(f"tensor {name!r} overlaps another")
            if offset % self.alignment or begin + offset + length > self.size:
                _no(f"tensor {name!r} lies outside the file")
            end = offset + length
        if self.size - begin - end > self.alignment and (spans or self.size > self.at + self.alignment):
            _no("bytes at the end belong to no tensor")

    def _tensor(self, names: set[str]) -> tuple[int, int, str]:
        name = self._text(64)
        if f"\0{name}" in names:
            _no(f"tensor {name!r} stands there twice")
        names.add(f"\0{name}")
        dimensions = self._number(4)
        if dimensions > 4:
            _no(f"tensor {name!r} has {dimensions} dimensions")
        count, row = 1, 1
        for place in range(dimensions):
            length = self._number(8)
            row = length if place == 0 else row
            count *= length
        kind = _BLOCKS.get(self._number(4))
        if kind is None:
            _no(f"tensor {name!r} has an unknown type")
        if count >= 2**62 or row % kind[0]:
            _no(f"tensor {name!r} has a shape that does not fit its type")
        return self._number(8), count // kind[0] * kind[1], name

    def _value(self, key: str, kind: int, depth: int) -> None:
        if kind == _TEXT:
            text = self._text(_MAX_TEXT)
            if "chat_template" in key:
                read_template(text)
        elif kind == _ARRAY:
            inner, count = self._number(4), self._number(8)
            if depth > 2 or count > _MAX_ARRAY:
                _no(f"the array {key[:80]!r} is too long or too deep")
            if inner in _WIDTH:
                self._skip(_WIDTH[inner] * count)
            else:
                for _ in range(count):
                    self._value(key, inner, depth + 1)
        elif kind in _WIDTH:
            raw = self._take(_WIDTH[kind])
            if key == "general.alignment":
                self.alignment = struct.unpack("<I", raw)[0] if kind == _UINT32 else 0
                if not 8 <= self.alignment <= 65_536 or self.alignment % 8:
                    _no("general.alignment is no alignment")
        else:
            _no(f"the key {key[:80]!r} has an unknown type")

    def _take(self, count: int) -> bytes:
        if count > self.size - self.at:
            _no("it ends before what it announces")
        self.at += count
        return self.file.read(count)

    def _skip(self, count: int) -> None:
        if count > self.size - self.at:
            _no("it ends before what it announces")
        self.at += count
        self.file.seek(self.at)

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _text(self, most: int) -> str:
        length = self._number(8)
        if length > most:
            _no("a text is longer than it may be")
        return self._take(length).decode("utf-8", "replace")


def _no(message: str) -> NoReturn:
    raise Refused("gguf_malformed", message)
