"""Small attributes by their bytes, from their length on: most that come have come before, and one look-up reads them.

They are a pure function of their bytes, so everyone shares the table, which is emptied when full. Nobody changes an attribute's value.
"""

from __future__ import annotations

from typing import Any

Pair = tuple[str, Any]

SMALL = 97
"""Bytes, the one of its length included, below which an attribute may be in the table."""

MOST = 16_384
KEYS_MOST = 4_096
_VALUES_MOST = 64

seen: dict[bytes, Pair] = {}


class _Key:
    """The name of an attribute, and how many more of its values may go into the table: those of a name that has ever new ones, such as
    ids, would only push the others out."""

    __slots__ = ("left", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = _VALUES_MOST


_keys: dict[bytes, _Key] = {}
"""Names of attributes by how they are encoded: tag, length, name."""


def plain(data: bytes) -> Pair | None:
    """An attribute that is not in the table, of a name that is known, with a small count or a sound text; None for any other.

    All lengths in it are one byte each. Raises IndexError for less than three bytes.
    """
    # How every encoder writes it: the key, then a value with one thing in it.
    stop = len(data)
    begin = 3 + data[2]
    key = _keys.get(data[1:begin])
    if key is None or stop - begin < 4 or data[begin] != 0x12 or data[begin + 1] != stop - begin - 2:
        return None
    tag = data[begin + 2]
    if tag == 0x18:
        # Counts differ from span to span, and cost no more to read than to look up.
        number = data[begin + 3]
        if number < 128:
            if begin + 4 == stop:
                return key.name, number
        elif begin + 5 == stop and data[begin + 4] < 128:
            return key.name, number & 127 | data[begin + 4] << 7
    elif tag == 0x0A and data[begin + 3] == stop - begin - 4:
        try:
            text = data[begin + 4 :].decode()
        except UnicodeDecodeError:
            return None
        if "\0" not in text:
            if key.left:
                key.left -= 1
                _remember(data, (key.name, text))
            return key.name, text
    return None


def learn(data: bytes, pair: Pair) -> None:
    """An attribute was read the long way, and nothing was wrong with it."""
    begin = 3 + data[2]
    key = _keys.get(data[1:begin])
    if key is None:
        key = _Key(pair[0])
        if len(_keys) < KEYS_MOST and data[1] == 0x0A and data[3:begin] == pair[0].encode():
            _keys[data[1:begin]] = key
    if key.left:
        key.left -= 1
        _remember(data, pair)


def _remember(raw: bytes, pair: Pair) -> None:
    if len(seen) >= MOST:
        seen.clear()
        for key in _keys.values():
            key.left = _VALUES_MOST
    seen[raw] = pair
