"""What leaves: finished calls and forwarded spans, handed to every destination that wants them.

On the line a call costs one append to a queue. Once a second the queue is turned into spans on a thread, whatever the destinations do.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from penstock.kernel.call import Call
from penstock.kernel.errors import SettingsError
from penstock.kernel.events import CallEnded
from penstock.kernel.ports import Metric
from penstock.observability.otlp.intake import clean
from penstock.observability.out.calls import spans_of
from penstock.observability.out.destination import Destination
from penstock.observability.out.encode import MOST_HOPS, encoder, hops
from penstock.observability.out.sender import Sender
from penstock.observability.out.transport import Transport, transport
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.storage.telemetry.span import Span

_log = logging.getLogger("penstock.observability")

SECONDS = 1.0
"""How long a finished call waits at most before it is turned into spans."""

AT_ONCE = 512
CALLS, CALL_BYTES = 20_000, 67_108_864
"""Finished calls that may wait for that, and the bytes of their requests."""


class Outbox:
    """A service. ``ended`` hears of calls, ``forward`` of spans that came in; both return at once."""

    name = "opentelemetry"

    def __init__(
        self,
        settings: ObservabilitySettings,
        destinations: Sequence[Destination],
        redactor: Redactor,
        connect: Callable[[Destination], Transport] = transport,
    ) -> None:
        self._destinations = destinations
        self._connect = connect
        self._redactor = redactor
        # What came in was cleaned already, unless everything is kept as it came.
        self._clean_forwarded = settings.payloads == "full"
        payloads = any(one.terms.payloads != "none" and one.terms.calls for one in destinations)
        self._keep = PayloadKeeper("redacted", settings.payload_max_bytes, redactor).entry if payloads else None
        self._calls: deque[Call] = deque()
        self._call_bytes = 0
        self._wake: asyncio.Event | None = None
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self.senders: list[Sender] = []
        self.dropped: Counter[str] = Counter({"queue_full": 0, "unwritable": 0})

    @property
    def calls(self) -> bool:
        """Whether any destination wants our calls."""
        return any(one.terms.calls for one in self._destinations)

    @property
    def forwards(self) -> bool:
        """Whether any destination wants what other programs sent."""
        return any(one.terms.forward for one in self._destinations)

    def ended(self, event: CallEnded) -> None:
        """Queue one call; a subscriber of `CallEnded`."""
        call = event.call
        size = len(call.body)
        if len(self._calls) >= CALLS or (self._calls and self._call_bytes + size > CALL_BYTES):
            self.dropped["queue_full"] += 1
            return
        self._call_bytes += size
        self._calls.append(call)
        if len(self._calls) == AT_ONCE and self._wake is not None:
            self._wake.set()

    def forward(self, spans: Sequence[Span]) -> None:
        """Queue spans that are stored; they are not changed. What has been sent on too often already is left out."""
        on = [span for span in spans if hops(span) < MOST_HOPS]
        if self._clean_forwarded:
            on = [copy.copy(span) for span in on]
            clean(on, self._redactor)
        for sender in self.senders:
            if sender.destination.terms.forward:
                sender.offer(on)

    async def start(self) -> None:
        """Begin to send. Raises `SettingsError` when an extra is not installed."""
        try:
            self.senders = [Sender(one, encoder(one.terms), self._connect(one)) for one in self._destinations]
        except ImportError as fault:
            raise SettingsError(
                "observability.otel: sending spans needs the extra 'otel': pip install 'penstock[otel]'", param="observability.otel"
            ) from fault
        self._wake = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run(), name="opentelemetry")]
        self._tasks += [asyncio.create_task(one.run(), name=f"opentelemetry {one.destination.name}") for one in self.senders]

    async def stop(self) -> None:
        """Send what is queued, once; all destinations at the same time."""
        if self._wake is None:
            return
        self._stopping = True
        self._wake.set()
        await self._tasks[0]
        for sender in self.senders:
            sender.finish()
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(sender.flush() for sender in self.senders))

    def metrics(self) -> Iterable[Metric]:
        """What each destination got, and did not."""
        senders = [({"destination": one.destination.name}, one) for one in self.senders]

        def family(name: str, help: str, kind: str, value: Callable[[Sender], float]) -> Metric:
            return Metric(name=f"penstock_otel_{name}", help=help, kind=kind, samples=tuple((label, value(one)) for label, one in senders))

        yield family("spans_sent", "Spans that a destination took.", "counter", lambda one: one.sent)
        yield Metric(
            name="penstock_otel_spans_dropped",
            help="Spans that a destination did not get, by reason.",
            kind="counter",
            samples=tuple(
                ({**label, "reason": reason}, float(count)) for label, one in senders for reason, count in sorted(one.dropped.items())
            ),
        )
        yield family("spans_waiting", "Spans that wait for a destination.", "gauge", lambda one: one.waiting)
        yield family("retries", "Exports that were tried again.", "counter", lambda one: one.retries)
        yield family("up", "Whether the last export to a destination went well; 1 before the first.", "gauge", lambda one: float(one.up))
        yield Metric(
            name="penstock_otel_calls_dropped",
            help="Calls that no destination got, by reason.",
            kind="counter",
            samples=tuple(({"reason": reason}, float(count)) for reason, count in sorted(self.dropped.items())),
        )

    async def _run(self) -> None:
        assert self._wake is not None
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            await self._convert()
        # What ended after the last look, or before the first.
        await self._convert()

    async def _convert(self) -> None:
        """Turn the calls that are queued now into spans."""
        for _ in range(len(self._calls) // AT_ONCE + 1):
            calls = [self._calls.popleft() for _ in range(min(AT_ONCE, len(self._calls)))]
            if not calls:
                return
            self._call_bytes -= sum(len(call.body) for call in calls)
            spans = await asyncio.to_thread(self._spans, calls)
            for sender in self.senders:
                if sender.destination.terms.calls:
                    sender.offer(spans)

    def _spans(self, calls: Sequence[Call]) -> list[Span]:
        spans: list[Span] = []
        for call in calls:
            try:
                spans += spans_of(call, self._keep)
            except Exception:  # one call that we cannot write must not hold up all that follow
                self.dropped["unwritable"] += 1
                _log.exception("a call cannot be told as spans", extra={"call": call.id})
        clean(spans, self._redactor)
        return spans
