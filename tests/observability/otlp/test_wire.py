from __future__ import annotations

import pytest

from penstock.observability.otlp.wire import Wrong, fields, skip, varint


@pytest.mark.parametrize(
    ("data", "number"),
    [(b"\x00", 0), (b"\x7f", 127), (b"\x80\x01", 128), (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", (1 << 64) - 1)],
)
def test_a_varint_is_read_to_its_end(data: bytes, number: int) -> None:
    assert varint(data + b"rest", 0) == (number, len(data))


def test_a_varint_of_more_than_ten_bytes_is_none() -> None:
    with pytest.raises(Wrong, match="10 bytes"):
        varint(b"\xff" * 11, 0)


def test_all_wire_types_are_told_apart() -> None:
    data = b"\x08\x05" + b"\x12\x02hi" + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    assert list(fields(data, 0, len(data))) == [(0x08, 5, 2), (0x12, 4, 6), (0x19, 7, 15), (0x25, 16, 20)]
    assert [skip(data, at) for at in (0, 2, 6, 15)] == [2, 6, 15, 20]


@pytest.mark.parametrize("data", [b"\x12\x09hi", b"\x19\x00", b"\x0b", b"\x08\xff\x01"])
def test_what_is_longer_than_its_message_is_wrong(data: bytes) -> None:
    with pytest.raises((Wrong, IndexError)):
        list(fields(data, 0, 2))
