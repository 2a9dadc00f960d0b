"""What leaves: our own spans and those that other programs sent, handed to every destination that wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from penstock.kernel.errors import SettingsError
from penstock.kernel.ports import Metric
from penstock.observability.out.destination import Destination
from penstock.observability.out.encode import Encoder, encoder
from penstock.observability.out.hops import MOST_HOPS, hops, one_more
from penstock.observability.out.sender import Sender
from penstock.observability.out.transport import Transport, transport
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings, OtelDestination
from penstock.storage.telemetry.span import Span


class Outgoing:
    """A service. ``ours`` hears of the spans of our calls and runs, ``forward`` of spans that came in; both return at once."""

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
        # What is kept was cleaned already, unless everything is kept as it came.
        self._redactor = redactor if settings.payloads == "full" else None
        self._tasks: list[asyncio.Task[None]] = []
        self.senders: list[Sender] = []

    def wanted(self, kind: Callable[[OtelDestination], bool]) -> bool:
        """Whether any destination wants what ``kind`` says."""
        return any(kind(one.terms) for one in self._destinations)

    def ours(self, spans: Sequence[Span]) -> None:
        """Queue spans of our own."""
        for sender in self.senders:
            if sender.destination.terms.calls:
                sender.offer(spans)

    def forward(self, spans: Sequence[Span]) -> None:
        """Queue spans that are stored; they are not changed. What has been sent on too often already is left out."""
        on: list[Span] = []
        told: dict[str, tuple[int, str]] = {}
        for span in spans:
            # Most have their resource in common.
            known = told.get(span.resource)
            if known is None:
                known = told[span.resource] = (hops(span.resource), one_more(span.resource))
            if known[0] < MOST_HOPS:
                on.append(msgspec.structs.replace(span, resource=known[1]))
        for sender in self.senders:
            if sender.destination.terms.forward:
                sender.offer(on)

    async def start(self) -> None:
        """Begin to send. Raises `SettingsError` when an extra is not installed."""
        self.senders = [Sender(one, self._encoder(one), self._connect(one)) for one in self._destinations]
        self._tasks = [asyncio.create_task(one.run(), name=f"{self.name} {one.destination.name}") for one in self.senders]

    async def stop(self) -> None:
        """Send what is queued, once; all destinations at the same time."""
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

    def _encoder(self, destination: Destination) -> Encoder:
        try:
            return encoder(destination.terms, self._redactor)
        except ImportError as fault:
            raise SettingsError(
                "observability.otel: sending spans needs the extra 'otel': pip install 'penstock[otel]'", param="observability.otel"
            ) from fault
