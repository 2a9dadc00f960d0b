"""A copy of a reply is kept while it goes by, and given up where it is too long."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from penstock.kernel.call import Reply
from penstock.kernel.copied import copy_of


class Source:
    """A stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def chunks(self) -> AsyncGenerator[bytes]:
        try:
            for piece in (b"one ", b"two ", b"three"):
                yield piece
        finally:
            self.closed = True


@pytest.mark.parametrize(("most", "copied"), [(13, b"one two three"), (12, None), (0, None)])
async def test_a_stream_goes_by_whole_and_is_copied_if_short_enough(most: int, copied: bytes | None) -> None:
    reply = Reply(status=200, chunks=Source().chunks())
    copy = copy_of(reply, most)
    assert reply.chunks is not None
    assert copy() == b""
    assert b"".join([chunk async for chunk in reply.chunks]) == b"one two three"
    assert copy() == copied


@pytest.mark.parametrize(("body", "copied"), [(b"12", b"12"), (b"123", None), (None, b"")])
def test_a_body_is_copied_too(body: bytes | None, copied: bytes | None) -> None:
    assert copy_of(Reply(status=200, body=body), 2)() == copied


async def test_closing_it_closes_what_it_copies() -> None:
    source = Source()
    reply = Reply(status=200, chunks=source.chunks())
    copy = copy_of(reply, 100)
    assert reply.chunks is not None
    assert await anext(reply.chunks) == b"one "
    close = getattr(reply.chunks, "aclose")  # noqa: B009 - iterators need not have it
    await close()
    assert source.closed
    assert copy() == b"one "
