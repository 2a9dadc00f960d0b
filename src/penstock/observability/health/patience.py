"""First content at once: a page whose figures take longer is drawn without them, and the browser asks again for those."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 0.3
"""Seconds that a page waits for its figures before it is drawn without them."""

MOST = 64
"""Answers that wait to be collected; the oldest goes first, since a browser that was closed never comes back for its own."""


class Patience(Generic[T]):
    """Answers that are being made for pages that were drawn already. Asked again under the same key, one is handed over and forgotten."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self._making: dict[Hashable, asyncio.Future[T]] = {}

    async def soon(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T | None:
        """What ``work`` gives or raises; None when that takes too long: it goes on, for whoever calls `whole` with this key."""
        making = self._making.get(key)
        if making is None:
            making = asyncio.ensure_future(work())
            # Nobody may come for it, and then nobody hears of its failure either.
            making.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        done, _ = await asyncio.wait({making}, timeout=self._seconds)
        if done:
            self._making.pop(key, None)
            return making.result()
        self._making[key] = making
        while len(self._making) > MOST:
            self._making.pop(next(iter(self._making))).cancel()
        return None

    async def whole(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` gives, however long that takes: from where `soon` began, or afresh."""
        making = self._making.pop(key, None)
        if making is None or making.cancelled():
            return await work()
        return await making
