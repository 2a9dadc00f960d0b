"""Prompts and replies on their way into the store and out of it: cut, redacted, condensed, packed.

The payloads of the calls that are stored together form one pack, a MessagePack array of entries. Large sides of an entry are compressed.
"""

from __future__ import annotations

import random
import time
import zlib
from typing import NamedTuple

import msgspec

from penstock.kernel.call import Call
from penstock.kernel.digest import told
from penstock.observability.redaction import Redactor
from penstock.observability.transcript import condense

COMPRESS_FROM = 4096
"""Bytes from which a side is compressed. Level 1 costs 15 to 30 microseconds a kilobyte, which small ones do not earn back."""

PACK_BYTES = 1 << 20
"""A pack is closed when it has grown beyond this; reading one call reads its whole pack."""

SLACK = 256
"""Bytes beyond the cap that the redaction still sees, so that a secret is not cut in two and missed."""


def keep_bytes(mode: str, max_bytes: int) -> int:
    """How much of a reply the record stage has to keep so that `PayloadKeeper` can redact across the cap and tell that it was cut."""
    return max_bytes + SLACK + 1 if mode != "none" and max_bytes else 0


RAW, CONDENSED, OMITTED = "raw", "condensed", "omitted"


class Side(msgspec.Struct, array_like=True, omit_defaults=True):
    """One direction of a call's payload.

    ``size`` is what it had on the wire (as far as it was kept for a stream), ``form`` is ``raw`` (the bytes as they were, maybe cut),
    ``condensed`` (a stream put together into a `Transcript`) or ``omitted``; ``redacted`` counts what was replaced.
    """

    data: bytes = b""
    size: int = 0
    form: str = RAW
    cut: bool = False
    compressed: bool = False
    redacted: int = 0

    def content(self) -> bytes:
        """The bytes, decompressed."""
        return zlib.decompress(self.data) if self.compressed else self.data


class Entry(msgspec.Struct, array_like=True):
    """The payload of one call."""

    call: str
    request: Side
    reply: Side


class Kept(NamedTuple):
    """The payload of one call as it is stored, and its two sides as they were before they were compressed, secrets replaced."""

    entry: Entry
    request: bytes
    reply: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def decode_pack(data: bytes) -> list[Entry]:
    """The entries of a stored pack."""
    return _decoder.decode(data)


def encode_pack(entries: list[Entry]) -> bytes:
    """A pack as it is stored; `decode_pack` reads it."""
    return _encoder.encode(entries)


def new_pack_id(now: float | None = None) -> int:
    """A time-ordered id: Unix milliseconds, then 20 random bits."""
    return int((time.time() if now is None else now) * 1e3) << 20 | random.getrandbits(20)


def pack_id_at(seconds: float) -> int:
    """The least id of a pack made at this moment (Unix seconds) or later."""
    return int(seconds * 1e3) << 20


class PayloadKeeper:
    """What is kept of a call's prompt and reply, by the settings ``payloads`` and ``payload_max_bytes``; None for nothing.

    Redaction sees a stream's text put together, since a secret may be spread over several chunks. Numbers (the vectors of an
    embedding) are not kept.
    """

    def __init__(self, mode: str, max_bytes: int, redactor: Redactor) -> None:
        self._redactor = redactor if mode == "redacted" else None
        self._max = 0 if mode == "none" else max_bytes

    def kept(self, call: Call) -> Kept | None:
        """What is kept of a call, None for nothing."""
        if not self._max or not (call.body or call.reply_text or call.keepsake):
            return None
        request = told(call.body)
        reply, form, size = self._reply(call)
        # One look at both: most calls hold no secret, and then nothing needs replacing.
        most = self._max + SLACK
        redactor = self._redactor
        if redactor is not None and not redactor.suspects(b"\n".join((request[:most], reply[:most]))):
            redactor = None
        came, asked = self._side(request, RAW, redactor)
        went, answered = self._side(reply, form, redactor)
        if size is not None:
            went.size = size
        return Kept(Entry(call.id, came, went), asked, answered)

    def _reply(self, call: Call) -> tuple[bytes, str, int | None]:
        """What is kept of a reply, in which form, and how large it was where that is something else."""
        if call.keepsake is not None:
            return call.keepsake(), RAW, None
        parts = call.reply_text
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if call.operation == "embeddings" and call.error is None:
            return b"", OMITTED, len(data)
        if call.stream:
            condensed = condense(call.shape, data)
            if condensed is not None:
                return condensed, CONDENSED, len(data)
        return data, RAW, None

    def _side(self, data: bytes, form: str, redactor: Redactor | None) -> tuple[Side, bytes]:
        """The side, and its bytes before they are compressed."""
        size = len(data)
        redacted = 0
        if size > self._max + SLACK:
            data = data[: self._max + SLACK]
        if redactor is not None:
            data, redacted = redactor.bytes(data)
        cut = size > self._max
        if size > self._max + SLACK:
            # What follows the cap was only looked at; its end may hold half of a secret, wherever replacing has moved it.
            data = data[: max(0, min(self._max, len(data) - SLACK))]
        elif cut:
            data = data[: self._max]
        compressed = len(data) >= COMPRESS_FROM
        return Side(zlib.compress(data, 1) if compressed else data, size, form, cut, compressed, redacted), data
