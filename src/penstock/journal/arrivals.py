"""Pages of runs that are looked at: whoever looks is told that a step has completed, or that the run stands otherwise than before.

Only the fact is sent: the page asks for itself again, through the same door, and so shows exactly what its reader may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from penstock.kernel.errors import JournalUnavailable, NotFound, Overloaded
from penstock.kernel.journal import ENDED, Journal, RunState

MOST_WATCHERS = 200
"""Streams that may be open at once; a page that finds no room asks for itself every few seconds instead."""
BEAT_SECONDS = 15.0
"""A comment is sent this often when nothing happens, so that proxies keep the connection and a gone reader is noticed."""
LOOK_SECONDS = 2.0
"""How often a run that stands still is looked at for whether it goes on."""

HELLO = b"retry: 2000\n\n"
BEAT = b": still here\n\n"
STEPS = b"event: steps\ndata: came\n\n"


class Arrivals:
    """The open streams. `drain` lets everyone go when Penstock stops."""

    def __init__(self, journal: Journal, *, beat: float = BEAT_SECONDS, look: float = LOOK_SECONDS) -> None:
        self._journal = journal
        self._beat = beat
        self._look = look
        self._closing = asyncio.Event()
        self.watching = 0

    def watch(self, reach: str | None, run: str, after: int) -> AsyncIterator[bytes]:
        """A stream of events about a run, from those after step ``after`` on. Raises `Overloaded` when too many look already."""
        if self.watching >= MOST_WATCHERS:
            raise Overloaded(f"{MOST_WATCHERS} runs are looked at; this page shows what it has", retry_after=30)
        return self._stream(reach, run, after)

    async def drain(self, seconds: float) -> None:
        """End every stream."""
        self._closing.set()

    async def _stream(self, reach: str | None, run: str, after: int) -> AsyncIterator[bytes]:
        self.watching += 1
        news = asyncio.Event()
        follows = asyncio.create_task(self._follow(reach, run, after, news))
        closing = asyncio.create_task(self._closing.wait())
        try:
            yield HELLO
            while not closing.done():
                came = asyncio.create_task(news.wait())
                try:
                    await asyncio.wait({came, closing}, timeout=self._beat, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    came.cancel()
                if closing.done():
                    return
                # One that ended is not hung up on: a browser would come back at once. Its page lets go when it has drawn the end.
                said = STEPS if news.is_set() else BEAT
                news.clear()  # before it is said: what comes while it is sent is news again
                yield said
        finally:
            follows.cancel()
            closing.cancel()
            self.watching -= 1

    async def _follow(self, reach: str | None, run: str, after: int, news: asyncio.Event) -> None:
        state = None
        while True:
            try:
                now = (await self._journal.get(reach, run)).state
                if now is not state and (state is not None or now in ENDED):
                    news.set()
                state = now
                if state in ENDED:
                    return
                if state is RunState.PAUSED:
                    await asyncio.sleep(self._look)
                    continue
                async for step in self._journal.watch(reach, run, after):
                    after = max(after, step.number)
                    news.set()
            except NotFound:
                return
            except JournalUnavailable:  # it may come back; the page says by itself that it cannot be asked
                await asyncio.sleep(self._look)
