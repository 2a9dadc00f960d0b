"""Finished calls on their way into the store: a bounded queue, batches in one transaction off the event loop, drops counted by reason."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from functools import partial
from itertools import islice

from penstock.kernel.call import Call
from penstock.observability import store
from penstock.observability.beside import Assistant, Done, Gone, raised
from penstock.observability.flushing import Flushing
from penstock.observability.own.outbox import Outbox
from penstock.observability.payloads import Kept, PayloadKeeper
from penstock.observability.redaction import Redactor
from penstock.observability.scribe import Scribe
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.summaries import Summaries
from penstock.storage.records import Records
from penstock.storage.telemetry.span import Span

RETENTION_SECONDS = 600.0


class Recorder:
    """A `Sink` and a service. `take` only puts the call into the queue; everything else happens on a thread.

    A batch that the database does not take is tried again with the next one; while it fails, the queue fills and calls are dropped
    and counted (``queue_full``). A payload that does not fit ``queue_bytes`` is dropped alone (``payload_bytes``), and so is a call
    that cannot be written down at all (``unwritable``), which would be a mistake of ours.

    Each call's spans go to ``own`` when it is first seen, whatever the database does with its row. ``beside`` does the work while there is
    much of it.
    """

    name = "observability"

    def __init__(
        self,
        records: Records,
        settings: ObservabilitySettings,
        redactor: Redactor,
        keeper: PayloadKeeper,
        own: Outbox | None = None,
        beside: Assistant | None = None,
    ) -> None:
        self._records = records
        self._settings = settings
        self._scribe = Scribe(records, redactor, keeper)
        self._own = own
        self._beside = beside
        self._queue: deque[tuple[Call, int]] = deque()
        self._bytes = 0
        self._summaries = Summaries()
        self._one_at_a_time = asyncio.Lock()
        self._clean_at = time.monotonic()
        self.stored = 0
        self.drops: Counter[str] = Counter()
        self._flushing = Flushing(
            "records",
            self.flush,
            seconds=settings.flush_seconds,
            again=settings.flush_seconds,
            waiting=lambda: self.waiting,
            drops=self.drops,
            also=self._look_after,
        )

    def take(self, call: Call, payload_bytes: int) -> None:
        """Queue one finished call; never blocks and never fails."""
        settings = self._settings
        if len(self._queue) >= settings.queue_calls:
            self.drops["queue_full"] += 1
            return
        if payload_bytes and self._bytes + payload_bytes > settings.queue_bytes:
            self.drops["payload_bytes"] += 1
            call.body = b""
            call.reply_text.clear()
            payload_bytes = 0
        self._bytes += payload_bytes
        self._queue.append((call, payload_bytes))
        if len(self._queue) == settings.batch_calls:
            self._flushing.hurry()

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue)

    async def start(self) -> None:
        """Begin to store what comes."""
        self._flushing.start()

    async def stop(self) -> None:
        """Store what is queued, as far as the database takes it."""
        await self._flushing.stop()
        if self._beside is not None:
            await asyncio.to_thread(self._beside.close)

    async def flush(self) -> None:
        """Store everything that is queued at this moment. Raises `StorageError` when the database does not take it."""
        async with self._one_at_a_time:
            for _ in range(len(self._queue) // self._settings.batch_calls + 1):
                if self._queue:
                    await self._store()

    async def _look_after(self) -> None:
        """What is done between two batches: old calls go, and a process beside that nobody needs ends."""
        if self._beside is not None and self._beside.ready:
            async with self._one_at_a_time:
                await asyncio.to_thread(self._beside.see, 0)
        if time.monotonic() >= self._clean_at:
            self._clean_at = time.monotonic() + RETENTION_SECONDS
            await self._forget()

    async def _store(self) -> None:
        batch = list(islice(self._queue, self._settings.batch_calls))
        calls = [call for call, _ in batch]
        own = self._own if self._own is not None and self._own.wanted else None
        # A batch that is tried again has its spans and its place in the summaries already.
        fresh = {call.id for call in calls if not call.counted}
        spans: list[Span] = []
        done: Done | None = None
        try:
            done = await asyncio.to_thread(self._write, calls, fresh, own, spans)
        finally:
            if own is not None:
                own.put(spans)
        if done is not None:
            if own is not None:
                own.written(done.stored, done.owners, done.spans, done.unmade)
            if done.fault is not None:
                raise raised(done.fault)
        # Only now: a batch that was not taken stays in the queue.
        for _, size in batch:
            self._queue.popleft()
            self._bytes -= size
        self.stored += len(batch)

    def _write(self, calls: list[Call], fresh: set[str], own: Outbox | None, spans: list[Span]) -> Done | None:
        """Write a batch down; what became of it where another process did it, with ``spans`` left empty."""
        for call in calls:
            if call.error is not None:
                # The traceback's frames hold the call, which holds the error: a ring that only the garbage collector would find.
                call.error.__traceback__ = None
        if (done := self._elsewhere(calls, fresh, own)) is not None:
            return done

        def made(call: Call, kept: Kept | None) -> None:
            if own is not None and call.id in fresh:
                own.make(call, kept, spans)

        written = self._scribe.write(calls, made)
        for call in written.unwritable:
            self.drops["unwritable"] += call.id in fresh
            call.counted = True
        self._count(calls)
        self._scribe.store(written, self._summaries.changed())
        self._summaries.written(time.time())
        return None

    def _elsewhere(self, calls: list[Call], fresh: set[str], own: Outbox | None) -> Done | None:
        """Have the batch written beside; None where it is to be written here."""
        beside = self._beside
        if beside is None:
            return None
        beside.see(len(calls))
        # Where that does not keep up, the calls' own process helps, and takes fewer.
        if not beside.ready or 2 * len(self._queue) > self._settings.queue_calls:
            return None
        self._count(calls)
        wanted = [own is not None and call.id in fresh for call in calls]
        stored, shown = (own.stores, own.shows) if own is not None else (False, False)
        try:
            done = beside.write(calls, self._summaries.changed(), wanted, stored=stored, wanted=shown)
        except Gone:
            return None
        self.drops["unwritable"] += sum(calls[number].id in fresh for number in done.unwritable)
        if done.fault is None:
            self._summaries.written(time.time())
        return done

    def _count(self, calls: list[Call]) -> None:
        for call in calls:
            if not call.counted:
                call.counted = True
                self._summaries.add(call)

    async def _forget(self) -> None:
        settings, now = self._settings, time.time()
        for table, days in (
            ("calls", settings.call_retention_days),
            ("payloads", min(settings.payload_retention_days, settings.call_retention_days)),
            ("summaries", settings.summary_retention_days),
        ):
            # In small pieces, so that nothing else waits long for the database.
            more = True
            while more:
                more = await self._records.write(partial(store.forget, what=table, before=now - days * 86_400))
