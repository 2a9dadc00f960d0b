"""Bodies on their way in: how they are packed, and how large they may be once unpacked."""

from __future__ import annotations

import importlib
import zlib
from typing import Any

from penstock.kernel.errors import BodyTooLarge, MalformedRequest, RequestError

ENCODINGS = ("gzip", "deflate", "zstd")
_PIECE = 1 << 20


def unpack(data: bytes, encoding: str, most: int) -> bytes:
    """The body without its ``content-encoding``. Never holds more than ``most`` bytes and a piece.

    Raises `BodyTooLarge`, `MalformedRequest` for bytes that are not what they are said to be, and `RequestError` (415) for an encoding
    that is not understood here.
    """
    name = encoding.strip().lower()
    if name in ("", "identity", "none"):
        plain = data
    elif name == "gzip":
        plain = _inflate(data, 31, most)
    elif name == "deflate":
        # Meant is zlib's form; some send the bare one.
        plain = _inflate(data, 15 if data[:1] == b"\x78" else -15, most)
    elif name == "zstd":
        plain = _zstd(data, most)
    else:
        raise _not_taken(name)
    if len(plain) > most:
        raise too_large(most)
    return plain


def too_large(most: int) -> BodyTooLarge:
    """The fault of a body beyond ``most`` bytes."""
    return BodyTooLarge(f"the spans have more than {most} bytes (observability.otlp.max_body_bytes); send smaller batches")


def _not_taken(name: str) -> RequestError:
    known = ", ".join(ENCODINGS)
    return RequestError(f"content-encoding {name[:40]!r} is not understood here; there are {known}", code="encoding_not_taken", status=415)


def _inflate(data: bytes, window: int, most: int) -> bytes:
    inflate = zlib.decompressobj(window)
    try:
        plain = inflate.decompress(data, most + 1)
    except zlib.error as fault:
        raise MalformedRequest("the body is not packed as its content-encoding says, or ends too early") from fault
    if len(plain) <= most and not inflate.eof:
        raise MalformedRequest("the body ends before its content-encoding does")
    return plain


def _zstd(data: bytes, most: int) -> bytes:
    try:
        # An extra; gzip is what senders use unless they are told otherwise.
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError as fault:
        raise RequestError(
            "content-encoding 'zstd' needs the extra 'otlp' here; send gzip", code="encoding_not_taken", status=415
        ) from fault
    parts: list[bytes] = []
    size = 0
    # Read by pieces: a few bytes of Zstandard may stand for gigabytes.
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data, read_across_frames=True)
    try:
        told = zstandard.frame_content_size(data)
        while part := reader.read(_PIECE):
            size += len(part)
            if size > most:
                raise too_large(most)
            parts.append(part)
    except zstandard.ZstdError as fault:
        raise MalformedRequest("the body is not packed as its content-encoding says") from fault
    if size < told:
        raise MalformedRequest("the body ends before its content-encoding does")
    return b"".join(parts)
