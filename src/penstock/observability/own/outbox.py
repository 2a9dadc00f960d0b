"""Our own spans on their way into the store: a bounded queue, batches under names that stay, drops counted by reason."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec

from penstock.kernel.call import Call
from penstock.kernel.errors import PenstockError, RequestError
from penstock.kernel.events import RunEnded, StepEnded
from penstock.kernel.ports import Metric
from penstock.observability.flushing import Flushing
from penstock.observability.own.calls import CallSpans
from penstock.observability.own.runs import RunSpans
from penstock.observability.payloads import Kept
from penstock.observability.pieces import pieces, size_of
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore

_log = logging.getLogger("penstock.observability")

BATCH = 5000
"""Spans that are appended before their time is over, and the most that one name stands for. A transaction costs the store as much as a
thousand spans do, so it is given many at a time."""
AGAIN_SECONDS = 1.0
"""Between two tries of a batch that the store did not take."""


class Outbox:
    """Keeps our own spans in the store of spans, where there is one. Belongs to one event loop; only `make` runs elsewhere.

    The store's failures touch nothing else: a batch that it did not take is tried again under the same name, so that one which it did
    take after all is not doubled; meanwhile the queue fills, payloads are left out (``payload_bytes``) and then spans (``queue_full``).
    What the store will never take is dropped (``unwritable``). All are counted.
    """

    name = "own spans"

    def __init__(
        self,
        store: Callable[[], TelemetryStore | None],
        settings: ObservabilitySettings,
        redactor: Redactor,
        onward: Callable[[Sequence[Span]], None] | None = None,
        came: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        """``onward`` is told of spans when they are made, ``came`` of whose they are when they are stored."""
        self._store = store
        self._onward = onward
        self._came = came
        self._on = settings.spans.own
        self._most, self._most_bytes = settings.queue_calls, settings.queue_bytes
        self._calls = CallSpans(redactor)
        self._runs = RunSpans(redactor)
        self._queue: deque[tuple[Span, int]] = deque()
        self._bytes = 0
        self._sending: deque[tuple[str, Sequence[Span]]] = deque()
        self._lock = asyncio.Lock()
        self.stored = 0
        self.drops: Counter[str] = Counter()
        self._flushing = Flushing(
            self.name,
            self.flush,
            seconds=settings.spans.own_seconds,
            again=AGAIN_SECONDS,
            waiting=lambda: self.waiting,
            drops=self.drops,
        )

    @property
    def wanted(self) -> bool:
        """Whether there is anything to make spans for: they are stored here, or go onward."""
        return self.stores or self._onward is not None

    @property
    def stores(self) -> bool:
        """Whether spans are stored here."""
        return self._on and self._store() is not None

    @property
    def waiting(self) -> int:
        """Spans that are not in the store yet."""
        return len(self._queue) + sum(len(spans) for _, spans in self._sending)

    def make(self, call: Call, kept: Kept | None, into: list[Span]) -> None:
        """Add the spans of a call to ``into``, on any thread; never fails."""
        try:
            into += self._calls.of(call, kept)
        except Exception:  # a mistake of ours in a span must not touch the record of the call
            self.drops["unwritable"] += 1
            _log.exception("no span can be made of a call", extra={"call": call.id})

    def run_ended(self, event: RunEnded) -> None:
        """Queue the span of a run."""
        if self.wanted:
            self.put((self._runs.run(event),))

    def step_ended(self, event: StepEnded) -> None:
        """Queue the span of a step."""
        if self.wanted:
            self.put((self._runs.step(event),))

    @property
    def shows(self) -> bool:
        """Whether somebody wants to see spans when they are made."""
        return self._onward is not None

    def written(self, stored: int, owners: Sequence[str], spans: Sequence[Span], unmade: int) -> None:
        """Another process has made spans of calls: so many are ``stored``, of these organisations; ``spans`` are those that somebody wants
        to see or that could not be stored there, and ``unmade`` those that cannot be made."""
        if unmade:
            self.drops["unwritable"] += unmade
        if not stored:
            self.put(spans)
            return
        self.stored += stored
        if self._came is not None:
            self._came(owners)
        if spans and self._onward is not None:
            self._onward(spans)

    def put(self, spans: Sequence[Span]) -> None:
        """Queue spans; never blocks and never fails."""
        if self._onward is not None:
            self._onward(spans)
        if not self.stores:
            return
        for one in spans:
            span = one
            if len(self._queue) >= self._most:
                self.drops["queue_full"] += 1
                continue
            size = size_of(span)
            if self._bytes + size > self._most_bytes and span.payload is not None:
                self.drops["payload_bytes"] += 1
                # A copy, since this one may be on its way elsewhere.
                span = msgspec.structs.replace(span, payload=None)
                size = size_of(span)
            self._bytes += size
            self._queue.append((span, size))
        if len(self._queue) >= BATCH:
            self._flushing.hurry()

    async def start(self) -> None:
        """Begin to store what comes; without a store there is nothing to do."""
        if self.stores:
            self._flushing.start()

    async def stop(self) -> None:
        """Store what is queued, as far as the store takes it."""
        await self._flushing.stop()

    async def flush(self) -> None:
        """Store everything that is queued at this moment. Raises `StorageError`, or what this process has no more of, when the store does
        not take it."""
        store = self._store()
        if store is None:
            return
        async with self._lock:
            left = len(self._queue)
            while self._sending or left > 0:
                if not self._sending:
                    left -= min(left, BATCH)
                    self._sending.extend(self.batches())
                name, spans = self._sending[0]
                try:
                    await store.append(spans, name)
                except RequestError as fault:  # never will it take this one
                    self._give_up(spans, fault.message)
                except (PenstockError, OSError, MemoryError, RuntimeError):  # no file, no thread, no room left: later there may be
                    raise
                except Exception as fault:  # a span of ours that cannot be written down must not hold up all that follow
                    self._give_up(spans, type(fault).__name__)
                else:
                    self.stored += len(spans)
                    if self._came is not None:
                        self._came({span.organisation for span in spans})
                self._sending.popleft()

    @property
    def queued(self) -> int:
        """Spans that no batch has been made of."""
        return len(self._queue)

    def batches(self) -> list[tuple[str, Sequence[Span]]]:
        """Take what is queued, up to `BATCH` spans, as batches. Their names follow from the spans and stay with them."""
        taken = list(islice(self._queue, BATCH))
        for _, size in taken:
            self._queue.popleft()
            self._bytes -= size
        return named_batches([span for span, _ in taken])

    def _give_up(self, spans: Sequence[Span], why: str) -> None:
        self.drops["unwritable"] += len(spans)
        _log.error("own spans cannot be stored and are dropped", extra={"spans": len(spans), "reason": why})

    def metrics(self) -> Iterable[Metric]:
        """What was stored, what waits, what was dropped."""
        yield Metric(
            name="penstock_own_spans_waiting",
            help="Spans of our own calls and runs not stored yet.",
            kind="gauge",
            samples=(({}, self.waiting),),
        )
        yield Metric(
            name="penstock_own_spans_stored", help="Spans of our own calls and runs stored.", kind="counter", samples=(({}, self.stored),)
        )
        drops = tuple(({"reason": reason}, float(count)) for reason, count in sorted(self.drops.items()))
        yield Metric(
            name="penstock_own_spans_dropped",
            help="Spans of our own, or their payloads, that are not stored, by reason.",
            kind="counter",
            samples=drops or (({"reason": "queue_full"}, 0.0),),
        )


def named_batches(spans: Sequence[Span]) -> list[tuple[str, Sequence[Span]]]:
    """These spans as batches that a store takes at once, under names that follow from the spans: put again, they are known."""
    told = hashlib.blake2b("".join([span.trace_id + span.span_id for span in spans]).encode(), digest_size=20).hexdigest()
    return [(f"own-{told}-{number}", some) for number, some in enumerate(pieces(spans))]
