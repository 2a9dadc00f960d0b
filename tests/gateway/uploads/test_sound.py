from __future__ import annotations

import pytest

from penstock.gateway.uploads.sound import milliseconds


def wav(rate: int, bytes_a_sample: int, seconds: int) -> tuple[bytes, int]:
    per_second = rate * bytes_a_sample
    head = (
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0"
        + rate.to_bytes(4, "little")
        + per_second.to_bytes(4, "little")
        + b"\2\0\x10\0data\0\0\0\0"
    )
    return head, 44 + per_second * seconds


def flac(rate: int, samples: int) -> bytes:
    packed = rate << 44 | 1 << 41 | 15 << 36 | samples
    return b"fLaC\0\0\0\x22" + bytes(10) + packed.to_bytes(8, "big")


# 128 kbit/s of MPEG-1 layer III at 44.1 kHz, and 32 kbit/s of MPEG-2 layer III at 22.05 kHz.
MPEG1, MPEG2 = b"\xff\xfb\x90\x00", b"\xff\xf3\x40\x00"


def test_heads_that_tell() -> None:
    assert milliseconds(*wav(16_000, 2, 7)) == 7000
    assert milliseconds(*wav(44_100, 4, 1)) == 1000
    assert milliseconds(flac(48_000, 96_000), 10) == 2000
    assert milliseconds(MPEG1, 16_000) == 1000
    assert milliseconds(MPEG2, 4_000) == 1000
    assert milliseconds(b"ID3\4\0\0\0\0\0\5tag!!" + MPEG1, 16_015) == 1000


def test_others_are_taken_for_speech_in_a_small_format() -> None:
    assert milliseconds(b"OggS", 4_000) == 1000
    assert milliseconds(b"ID3\4\0\0\x7f\x7f\x7f\x7f", 4_000) == 1000
    assert milliseconds(b"", 0) == 0
    assert milliseconds(b"x", 1) == 1


@pytest.mark.parametrize("first", [b"RIFF", b"RIFF\0\0\0\0WAVE", wav(0, 2, 1)[0], flac(0, 5), b"fLaC", b"\xff\xff\xff\xff", b"\xff" * 4096])
def test_heads_that_lie_end_in_an_estimate(first: bytes) -> None:
    assert milliseconds(first, 4_000) == 1000
