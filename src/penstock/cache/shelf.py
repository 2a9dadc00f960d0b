"""Kept replies outlive the process: they go into the database in batches and come back at the start; no call ever waits for either."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from penstock.cache import store
from penstock.cache.index import Entry, Index
from penstock.cache.settings import CacheSettings
from penstock.cache.tally import Tally
from penstock.kernel.errors import PenstockError
from penstock.kernel.ids import new_id
from penstock.storage.records import Records

_log = logging.getLogger("penstock.cache")

OVERLAP = 5.0
"""Seconds that a look for new entries reaches back before the last one: clocks differ, and transactions take a moment."""
SWEEP_SECONDS = 60.0
PAGE = 500
"""Entries that are taken in at a stretch: the event loop has other work."""


class Shelf:
    """Holds the index and keeps it and the database alike. ``looked`` is called after each look at what other processes did."""

    def __init__(self, records: Records, settings: CacheSettings, tally: Tally, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._settings = settings
        self._tally = tally
        self._clock = clock
        self._new: dict[bytes, Entry] = {}
        self._gone: set[bytes] = set()
        self._pairs: list[dict[str, object]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._writing = asyncio.Lock()
        self._taking = asyncio.Lock()
        """Held while entries are taken in and while they are cleared: what was read before a clear would come back after it."""
        self._since = 0.0
        self._obeyed: set[str] = set()  # a person clears a cache now and then, so this stays small
        self._failing = False
        self._swept = 0.0
        self.looked: list[Callable[[], Awaitable[None]]] = []
        self.index = Index(
            max_bytes=settings.max_bytes, max_entries=settings.max_entries, neighbours=settings.neighbours, dropped=self._drop
        )
        self.loaded = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Entries that the database does not have yet."""
        return len(self._new)

    def put(self, entry: Entry) -> None:
        """Keep a reply: at once in memory, soon in the database."""
        self.index.put(entry)
        if entry.key in self.index:
            self._new[entry.key] = entry
            self._gone.discard(entry.key)

    def note(self, pair: dict[str, object]) -> None:
        """Keep a pair of questions, soon."""
        self._pairs.append(pair)

    async def clear(self, organisation: str, task: str, model: str) -> int:
        """Forget replies, of one organisation, task and model where these are not empty; how many the database held."""
        async with self._taking:
            await self.flush()
            at = int(self._clock() * 1000)
            id = new_id("clr")
            self._obeyed.add(id)
            self._forget(at / 1000, organisation, task, model)
            return await self._records.write(lambda c: store.clear(c, id, at, organisation, task, model))

    def begin(self) -> None:
        """Read what there is, and begin to write and to look, in the background."""
        self._tasks = [
            asyncio.create_task(work, name=f"cache {name}") for name, work in (("writes", self._write()), ("looks", self._look()))
        ]

    async def end(self) -> None:
        """Stop, and write what is not written yet."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        try:
            await self.flush()
        except PenstockError as fault:
            _log.warning("the last replies are not kept", extra={"fault": fault.message, "replies": len(self._new)})

    async def flush(self) -> None:
        """Write everything that waits. Raises `StorageError`; then it waits on."""
        async with self._writing:
            now = self._clock()
            sweep = now - self._swept >= SWEEP_SECONDS
            if sweep:
                self.index.sweep(now)
            new, gone, pairs, days = list(self._new.values()), list(self._gone), list(self._pairs), self._tally.changed()
            if not (new or gone or pairs or days or sweep):
                return

            def work(connection: store.Connection) -> None:
                store.keep(connection, new, gone)
                store.add_pairs(connection, pairs)
                store.count_days(connection, days)
                if sweep:
                    store.expire(connection, int(now * 1000))

            try:
                await self._records.write(work)
            except BaseException:  # whatever it was: the sums are due again
                self._tally.unwritten(days)
                raise
            for entry in new:
                if self._new.get(entry.key) is entry:
                    del self._new[entry.key]
            self._gone.difference_update(gone)
            del self._pairs[: len(pairs)]
            self._tally.written(days)
            if sweep:
                self._swept = now

    async def load(self) -> None:
        """Take in what there is, the latest first, as far as there is room."""
        async with self._taking:
            now, index = self._clock(), self.index
            before: tuple[int, str] | None = None
            while True:
                start = before
                page = await self._records.read(lambda c: store.latest(c, start, int(now * 1000), PAGE))  # noqa: B023 - awaited at once
                for entry in page:
                    if index.full(entry):
                        page = []
                        break
                    if entry.key not in index and entry.key not in self._gone:
                        index.put(entry, coldest=True)
                if len(page) < PAGE:
                    break
                before = int(page[-1].created * 1000), page[-1].key.hex()
            self._since = now

    async def look(self) -> None:
        """Take in what other processes kept and cleared since the last time."""
        async with self._taking:
            now, start = self._clock(), int((self._since - OVERLAP) * 1000)
            most = self._settings.max_entries

            def work(connection: store.Connection) -> tuple[list[Entry], list[tuple[str, int, str, str, str]]]:
                return store.made_since(connection, start, lambda key: key in self.index, most), store.cleared(connection, start)

            entries, cleared = await self._records.read(work)
            self._since = now
            for entry in entries:
                if entry.key not in self.index and entry.key not in self._gone and entry.expires > now:
                    self.index.put(entry)
            for id, at, organisation, task, model in cleared:
                if id not in self._obeyed:
                    self._obeyed.add(id)
                    self._forget(at / 1000, organisation, task, model)

    def _forget(self, before: float, organisation: str, task: str, model: str) -> None:
        wanted = (("organisation", organisation), ("task", task), ("model", model))
        for entry in list(self.index.entries()):
            if entry.created <= before and all(not value or getattr(entry, name) == value for name, value in wanted):
                self.index.remove(entry.key)
                self._new.pop(entry.key, None)

    def _drop(self, key: bytes) -> None:
        self._new.pop(key, None)
        self._gone.add(key)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(self._settings.flush_seconds)
            try:
                await self.flush()
            except PenstockError as fault:
                self._tell(fault)
            else:
                self._failing = False

    async def _look(self) -> None:
        while True:
            try:
                await (self.look() if self._since else self.load())
                for looked in self.looked:
                    await looked()
                self.loaded.set()
            except PenstockError as fault:
                self._tell(fault)
            await asyncio.sleep(self._settings.refresh_seconds)

    def _tell(self, fault: PenstockError) -> None:
        if not self._failing:
            _log.warning("the cache goes on with what this process knows", extra={"fault": fault.message})
        self._failing = True
