from __future__ import annotations

import gzip
import zlib

import pytest

from penstock.kernel.errors import BodyTooLarge, MalformedRequest, RequestError
from penstock.observability.otlp.body import unpack

zstandard = pytest.importorskip("zstandard")

DATA = b"spans " * 1000
PACKED = {
    "": DATA,
    "identity": DATA,
    "GZIP": gzip.compress(DATA),
    "deflate": zlib.compress(DATA),
    "zstd": zstandard.compress(DATA),
}
BARE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize("encoding", PACKED)
def test_what_was_packed_is_unpacked(encoding: str) -> None:
    assert unpack(PACKED[encoding], encoding, 10_000) == DATA


def test_bare_deflate_is_understood() -> None:
    assert unpack(BARE.compress(DATA) + BARE.flush(), "deflate", 10_000) == DATA


@pytest.mark.parametrize("encoding", PACKED)
def test_more_than_there_is_room_for_is_too_large(encoding: str) -> None:
    with pytest.raises(BodyTooLarge, match=r"max_body_bytes"):
        unpack(PACKED[encoding], encoding, len(DATA) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("part", [slice(0, 20), slice(3, None)])
def test_what_is_damaged_is_malformed(encoding: str, part: slice) -> None:
    with pytest.raises(MalformedRequest):
        unpack(PACKED["GZIP" if encoding == "gzip" else encoding][part], encoding, 10_000)


@pytest.mark.parametrize("pack", [lambda d: zstandard.compress(d, 19), lambda d: gzip.compress(d, 9)])
def test_a_bomb_is_not_unpacked(pack: object) -> None:
    bomb = pack(bytes(1 << 26))  # type: ignore[operator]
    with pytest.raises(BodyTooLarge):
        unpack(bomb, "zstd" if bomb[:2] == b"\x28\xb5" else "gzip", 1 << 20)


def test_another_encoding_is_told_which_there_are() -> None:
    with pytest.raises(RequestError, match=r"gzip, deflate, zstd") as caught:
        unpack(DATA, "br", 10_000)
    assert (caught.value.status, caught.value.code) == (415, "encoding_not_taken")
