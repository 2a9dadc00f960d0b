"""Live pages: whoever looks is told that calls have ended, or spans have come, at most once a second, and fetches what it shows anew.

Only the fact is sent, never a call: the page asks for its own part again and so sees exactly what its reader may see, through the same
door. Nobody looking costs the line one comparison a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from penstock.kernel.errors import Overloaded
from penstock.kernel.events import CallEnded
from penstock.kernel.ports import Peers
from penstock.kernel.principal import Principal
from penstock.storage.telemetry.span import Span

MOST_WATCHERS = 500
"""Streams that may be open at once; a page that finds no room shows what it showed and tries again later."""

PAUSE_SECONDS = 1.0
BEAT_SECONDS = 15.0
"""A comment is sent this often when nothing happens, so that proxies keep the connection and a gone reader is noticed."""

HELLO = b"retry: 2000\n\n"
BEAT = b": still here\n\n"
CALLS = b"event: calls\ndata: ended\n\n"
SPANS = b"event: spans\ndata: came\n\n"

TOPIC = "calls ended"
SPANS_TOPIC = "spans came"


class _Watcher:
    __slots__ = ("news", "reach")

    def __init__(self, reach: str | None) -> None:
        self.reach = reach
        self.news = asyncio.Event()


class Live:
    """Knows who looks. `ended` is a subscriber of `CallEnded`, `came` is for whoever stores spans; one of them is used.

    ``event`` is what watchers are sent, ``topic`` what workers tell each other. `drain` lets everyone go when Penstock stops.
    """

    def __init__(self, *, pause: float = PAUSE_SECONDS, beat: float = BEAT_SECONDS, event: bytes = CALLS, topic: str = TOPIC) -> None:
        self._event = event
        self._topic = topic
        self._watchers: set[_Watcher] = set()
        self._pause = pause
        self._beat = beat
        self._closing = asyncio.Event()
        self._peers: Peers | None = None
        self._untold: set[str | None] = set()

    @property
    def watching(self) -> int:
        """Streams that are open."""
        return len(self._watchers)

    def ended(self, event: CallEnded) -> None:
        """Tell whoever may see this call, and the other workers, at most once a pause."""
        if not self._watchers and self._peers is None:
            return
        principal = event.call.principal
        self._spread((principal.organisation if principal is not None else None,))

    def came(self, spans: Sequence[Span]) -> None:
        """Spans were stored: tell whoever may see them, and the other workers."""
        if self._watchers or self._peers is not None:
            self._spread({span.organisation for span in spans})

    def came_of(self, owners: Iterable[str]) -> None:
        """Spans of these organisations were stored."""
        if self._watchers or self._peers is not None:
            self._spread(owners)

    def _spread(self, owners: Iterable[str | None]) -> None:
        for owner in owners:
            self.heard(owner)
            if self._peers is not None:
                if not self._untold:
                    asyncio.get_running_loop().call_later(self._pause, self._tell)
                self._untold.add(owner)

    def join(self, peers: Peers) -> None:
        """Whoever looks at this worker is told of calls at the others too."""

        async def told(body: bytes) -> bytes:
            for owner in msgspec.json.decode(body, type=list[str | None]):
                self.heard(owner)
            return b""

        self._peers = peers
        peers.answer(self._topic, told)

    def _tell(self) -> None:
        owners, self._untold = self._untold, set()
        if self._peers is not None and not self._closing.is_set():
            self._peers.tell(self._topic, msgspec.json.encode(list(owners)))

    def heard(self, owner: str | None) -> None:
        """A call of an organisation has ended, or a span of it came, here or at another worker."""
        for watcher in self._watchers:
            if watcher.reach is None or watcher.reach == owner:
                watcher.news.set()

    def watch(self, reader: Principal) -> AsyncIterator[bytes]:
        """A stream of events for ``reader``. Raises `Overloaded` when too many look already."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise Overloaded(f"{MOST_WATCHERS} live pages are open; this one shows what it has", retry_after=30)
        return self._stream(_Watcher(reader.reach))

    async def drain(self, seconds: float) -> None:
        """End every stream."""
        self._closing.set()

    async def _stream(self, watcher: _Watcher) -> AsyncIterator[bytes]:
        self._watchers.add(watcher)
        closing = asyncio.create_task(self._closing.wait())
        try:
            yield HELLO
            while not closing.done():
                news = asyncio.create_task(watcher.news.wait())
                await asyncio.wait({news, closing}, timeout=self._beat, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if closing.done():
                    return
                if not watcher.news.is_set():
                    yield BEAT
                    continue
                watcher.news.clear()
                yield self._event
                await asyncio.wait({closing}, timeout=self._pause)
        finally:
            closing.cancel()
            self._watchers.discard(watcher)
