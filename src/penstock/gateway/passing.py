"""Replies that are neither JSON nor events (sound), passed on while they come."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import msgspec

from penstock.gateway.providers.provider import Upstream
from penstock.kernel.call import Attempt, Call, Reply
from penstock.kernel.errors import PenstockError, UpstreamMalformed


class Binary:
    """One such reply: an iterator of its bytes that takes their digest, which is what the record keeps."""

    def __init__(self, call: Call, reply: Reply, upstream: Upstream, attempt: Attempt, media: str) -> None:
        self._call = call
        self._reply = reply
        self._upstream = upstream
        self._attempt = attempt
        self._media = media
        self._sha = hashlib.sha256()
        self._size = 0

    async def begin(self) -> None:
        """Wait for the first bytes: until then another target may still be tried. Raises `UpstreamMalformed` when there are none."""
        source = self._upstream.chunks()
        first = await anext(source, None)
        if not first:
            raise UpstreamMalformed(f"the provider's reply of type {self._media} is empty")
        self._attempt.first_token_ms = self._call.elapsed_ms()
        self._call.keepsake = self.kept
        self._reply.chunks = self._pass(first, source)

    def kept(self) -> bytes:
        """What the record keeps."""
        return msgspec.json.encode({"content_type": self._media, "bytes": self._size, "sha256": self._sha.hexdigest()})

    async def _pass(self, first: bytes, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            self._take(first)
            yield first
            async for chunk in source:
                self._take(chunk)
                yield chunk
            # The end of the reply tells the client that it is complete, and comes after this.
            self._reply.finished = True
        except PenstockError as fault:
            self._attempt.error, self._attempt.message = fault.code, fault.message
            raise
        finally:
            self._attempt.ended_ms = self._call.elapsed_ms()
            self._upstream.close()

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        self._sha.update(data)
