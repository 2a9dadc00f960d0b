"""Protobuf's wire format, as far as reading takes: https://protobuf.dev/programming-guides/encoding/."""

from __future__ import annotations

from collections.abc import Iterator


class Wrong(ValueError):
    """The bytes are no message; says why."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The whole number, of 64 bits without sign, and where it ends. Raises `Wrong`, or IndexError at the end of the data."""
    byte = data[at]
    at += 1
    if byte < 128:
        return byte, at
    value, shift = byte & 127, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise Wrong("a varint has at most 10 bytes")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number with wire type, and where its value begins and ends; a varint's begin is its value."""
    while at < end:
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 2:
            length, at = varint(data, at)
            stop = at + length
            if stop > end:
                raise Wrong("a field is longer than its message")
            yield tag, at, stop
            at = stop
        elif wire == 0:
            value, at = varint(data, at)
            yield tag, value, at
        elif wire in (1, 5):
            stop = at + (8 if wire == 1 else 4)
            if stop > end:
                raise Wrong("a field is longer than its message")
            yield tag, at, stop
            at = stop
        else:
            raise Wrong(f"wire type {wire} is not used any more")
    if at != end:
        raise Wrong("a message ends inside a field")


def skip(data: bytes, at: int) -> int:
    """Where the field that begins ``at`` ends."""
    tag, at = varint(data, at)
    wire = tag & 7
    if wire == 0:
        return varint(data, at)[1]
    if wire == 1:
        return at + 8
    if wire == 5:
        return at + 4
    if wire == 2:
        length, at = varint(data, at)
        return at + length
    raise Wrong(f"wire type {wire} is not used any more")
