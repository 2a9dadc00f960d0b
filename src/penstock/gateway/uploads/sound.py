"""How long a recording is, from its first bytes and its size: exact where the head tells, else by a bit rate.

It is what a call is reserved with, and what it is charged by when the provider's reply does not tell.
"""

from __future__ import annotations

ASSUMED_BITS = 32_000
"""Bits a second of sound in a format that is not read here: about what speech in AAC or Opus takes."""

_MP3_BITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""Kilobits a second of MPEG-1 layer III, by index (ISO 11172-3, table in 2.4.2.3)."""
_MP3_BITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""The same of MPEG-2 layer III (ISO 13818-3)."""


def milliseconds(first: bytes, size: int) -> int:
    """The length of a recording of ``size`` bytes that begins with ``first``; at least one millisecond when there is any."""
    if size <= 0:
        return 0
    return max(1, _wav(first, size) or _flac(first) or _mp3(first, size) or size * 8_000 // ASSUMED_BITS)


def _wav(first: bytes, size: int) -> int:
    if first[:4] != b"RIFF" or first[8:12] != b"WAVE":
        return 0
    at = first.find(b"fmt ", 12)
    if at < 0 or len(first) < at + 20:
        return 0
    per_second = int.from_bytes(first[at + 16 : at + 20], "little")
    # The size that the head tells is wrong in streams, which are written before their length is known.
    return (size - 44) * 1000 // per_second if per_second else 0


def _flac(first: bytes) -> int:
    if first[:4] != b"fLaC" or len(first) < 26:
        return 0
    # STREAMINFO: 20 bits of sample rate, 3 of channels, 5 of depth, 36 of samples (RFC 9639, 8.2).
    packed = int.from_bytes(first[18:26], "big")
    rate, samples = packed >> 44, packed & ((1 << 36) - 1)
    return samples * 1000 // rate if rate else 0


def _mp3(first: bytes, size: int) -> int:
    at = 0
    if first[:3] == b"ID3" and len(first) >= 10:
        # A tag in front, its length in four times seven bits; a picture in it may be longer than what is at hand.
        length = 10 + (first[6] << 21 | first[7] << 14 | first[8] << 7 | first[9])
        size -= length
        at = length if length < len(first) else len(first)
    at = first.find(b"\xff", at)
    while 0 <= at < len(first) - 3:
        head = int.from_bytes(first[at : at + 4], "big")
        version, layer, index = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15
        if head >> 21 == 0x7FF and version != 1 and layer == 1 and 0 < index < 15:
            kilobits = (_MP3_BITS if version == 3 else _MP3_BITS_2)[index]
            return max(0, size) * 8 // kilobits
        at = first.find(b"\xff", at + 1)
    return 0
