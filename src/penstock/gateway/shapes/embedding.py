"""Embeddings in a form apart from any vendor's: what is embedded, and the vectors that come back."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping

from msgspec import Raw, Struct, field

from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """Texts to be embedded, each by itself.

    ``task`` is what the vectors are for, in Google's words, and ``title`` names the documents; both are hints. ``packed`` asks for vectors
    as base64 of 32-bit floats (little-endian), as OpenAI's SDKs do. ``extra`` and ``dropped`` are as in `penstock.kernel.messages.Request`.
    """

    shape: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    task: str | None = None
    title: str | None = None
    user: str | None = None
    packed: bool = False
    extra: Mapping[str, Raw] = field(default_factory=dict[str, Raw])
    dropped: list[str] = field(default_factory=list[str])


class Vectors(Struct, frozen=True):
    """One vector for each text, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None


def pack(vector: tuple[float, ...]) -> str:
    """A vector as base64."""
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError as fault:
        raise UpstreamMalformed("The provider's reply holds a vector beyond 32-bit floats.") from fault


def unpack(text: str) -> tuple[float, ...]:
    """A vector that was packed. Raises `UpstreamMalformed`."""
    try:
        data = base64.b64decode(text, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (binascii.Error, ValueError, struct.error) as fault:
        raise UpstreamMalformed("The provider's reply holds a vector that is none.") from fault


def expect_count(found: int, request: EmbeddingRequest) -> None:
    """Check that every text has its vector. Raises `UpstreamMalformed`."""
    if found != len(request.texts):
        raise UpstreamMalformed(f"The provider's reply holds {found} vectors for {len(request.texts)} texts.")
