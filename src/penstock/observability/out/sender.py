"""One destination's own line: a bounded queue, batches, another try when it is not taken for now, and rest while nothing is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from penstock.observability.flushing import Seldom
from penstock.observability.out.destination import Destination
from penstock.observability.out.encode import Encoder
from penstock.observability.out.transport import Answer, Transport
from penstock.observability.pieces import size_of
from penstock.storage.telemetry.span import Span

_log = logging.getLogger("penstock.observability")

FIRST_SECONDS, MOST_SECONDS = 1.0, 60.0
"""Between tries: twice as long each time, between these, and up to a quarter off so that many do not come back at once."""

LONGEST_AFTER = 300.0
"""What a receiver may ask us to wait."""

REASONS = ("queue_full", "refused", "too_large", "gave_up", "rejected", "unencodable", "stopped")
"""Why spans are dropped: no room; not taken, for good; a single one too large; not taken for `retry_seconds`; left out by a receiver
that took the rest; a mistake of ours; still waiting when we stopped."""


class Sender:
    """Sends to one destination, on the event loop that `run` runs on. Nothing of it waits for another's."""

    def __init__(
        self, destination: Destination, encoder: Encoder, transport: Transport, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.destination = destination
        self._terms = destination.terms
        self._encoder = encoder
        self._transport = transport
        self._clock = clock
        self._queue: deque[Span] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._seldom = Seldom(clock)
        self._failures = 0
        self.sent = 0
        self.retries = 0
        self.up = True
        """Whether the last try went well; yes before the first."""
        self.dropped: Counter[str] = Counter(dict.fromkeys(REASONS, 0))

    @property
    def waiting(self) -> int:
        """Spans in the queue."""
        return len(self._queue)

    def offer(self, spans: Iterable[Span]) -> None:
        """Queue those of the spans that are wanted there; never blocks."""
        wants = self.destination.wants
        for span in spans:
            if not wants(span):
                continue
            size = size_of(span)
            if len(self._queue) >= self._terms.queue or (self._queue and self._bytes + size > self._terms.queue_bytes):
                self._drop("queue_full", 1)
            else:
                self._queue.append(span)
                self._bytes += size
        if self._queue:
            self._wake.set()

    async def run(self) -> None:
        """Send what comes, until `finish`."""
        while not self._stopping.is_set():
            await self._wake.wait()
            self._wake.clear()
            while self._queue and not self._stopping.is_set():
                await self._deliver(self._take())

    def finish(self) -> None:
        """Make `run` end soon; what is still queued is for `flush`."""
        self._stopping.set()
        self._wake.set()

    async def flush(self) -> None:
        """Send what is queued, each batch once; for the end, when `run` has ended."""
        in_hand = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._terms.timeout_seconds):
                while self._queue:
                    batch = self._take()
                    in_hand = len(batch)
                    await self._deliver(batch)
                    in_hand = 0
        left = len(self._queue) + in_hand
        if left:
            self._drop("stopped", left)
            self._queue.clear()
            self._say("spans were not sent before the end", "", left)
        await self._transport.close()

    def _take(self) -> list[Span]:
        batch: list[Span] = []
        size = 0
        while self._queue and len(batch) < self._terms.batch:
            more = size_of(self._queue[0])
            if batch and size + more > self._terms.batch_bytes:
                break
            batch.append(self._queue.popleft())
            size += more
        self._bytes -= size
        return batch

    async def _deliver(self, batch: Sequence[Span]) -> None:
        try:
            export = await asyncio.to_thread(self._encoder.encode, batch)
        except Exception:  # a span that we cannot write must not hold up all that follow
            if len(batch) > 1:  # nor those beside it, which may be another organisation's
                half = len(batch) // 2
                await self._deliver(batch[:half])
                await self._deliver(batch[half:])
                return
            _log.exception("a span cannot be encoded", extra={"destination": self.destination.name})
            self._drop("unencodable", 1)
            return
        until = self._clock() + self._terms.retry_seconds
        while True:
            answer = await self._sent(export)
            if answer.outcome == "taken":
                rejected = min(len(batch), answer.rejected)
                self.sent += len(batch) - rejected
                self.up, self._failures = True, 0
                if rejected:
                    self._drop("rejected", rejected)
                    self._say("spans were rejected", answer.told, rejected)
                return
            if answer.outcome == "too_large" and len(batch) > 1:
                half = len(batch) // 2
                await self._deliver(batch[:half])
                await self._deliver(batch[half:])
                return
            self.up = False
            self._failures += 1
            self._say("spans are not taken", f"{answer.status} {answer.told}".strip(), len(batch))
            wait = self._pause(answer)
            if answer.outcome != "later":
                self._drop("too_large" if answer.outcome == "too_large" else "refused", len(batch))
                # The next would most likely be refused too: it rests as after any failure.
                await self._rest(wait)
                return
            if self._stopping.is_set():
                self._drop("stopped", len(batch))
                return
            if self._clock() + wait > until:
                self._drop("gave_up", len(batch))
                await self._rest(wait)
                return
            self.retries += 1
            await self._rest(wait)

    async def _sent(self, export: bytes) -> Answer:
        try:
            return await self._transport.send(export)
        except Exception as fault:  # a library's word for a header it cannot send, say, which names the header: its type is told alone
            return Answer(outcome="refused", status=type(fault).__name__)

    def _pause(self, answer: Answer) -> float:
        if answer.after is not None and answer.after >= FIRST_SECONDS:
            return min(LONGEST_AFTER, answer.after)
        # Also for one that says "at once", every time: a line that never rests takes the core from the calls.
        grown = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(16, self._failures - 1))
        return grown * random.uniform(0.75, 1.0)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _drop(self, reason: str, count: int) -> None:
        self.dropped[reason] += count

    def _say(self, what: str, why: str, count: int) -> None:
        self._seldom.warn(what, destination=self.destination.name, spans=count, reason=why, waiting=len(self._queue))
