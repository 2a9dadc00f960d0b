"""A copy of a reply, kept while it goes by: for whoever looks at it once it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from penstock.kernel.call import Reply


def copy_of(reply: Reply, most: int) -> Callable[[], bytes | None]:
    """Keep a copy of ``reply``. What is returned gives the bytes that went by so far; None when they are more than ``most``."""
    if reply.chunks is not None:
        reply.chunks = copied = Copied(reply.chunks, most)
        return copied.copy
    body = reply.body or b""
    return lambda: body if len(body) <= most else None


class Copied:
    """A stream of which a copy is kept, as long as it is not longer than ``most`` bytes.

    Not a generator: closing one that nobody has begun to read would run none of its code.
    """

    __slots__ = ("_chunks", "_left", "_parts")

    def __init__(self, chunks: AsyncIterator[bytes], most: int) -> None:
        self._chunks = chunks
        self._parts: list[bytes] = []
        self._left = most

    def copy(self) -> bytes | None:
        """What went by, None when it was too long."""
        return b"".join(self._parts) if self._left >= 0 else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        if self._left >= 0:
            self._left -= len(chunk)
            if self._left >= 0:
                self._parts.append(chunk)
            else:
                self._parts.clear()
        return chunk

    async def aclose(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
