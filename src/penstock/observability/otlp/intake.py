"""What becomes of one export: unpacked, read, mended, normalised, cleaned of secrets, stored; only then is it acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from penstock.kernel.errors import Forbidden, LimitExceeded, Overloaded, PenstockError, Unavailable
from penstock.kernel.ports import Metric
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.recall import Prices
from penstock.observability.otlp.answer import JSON
from penstock.observability.otlp.body import too_large, unpack
from penstock.observability.otlp.json_form import JsonReader
from penstock.observability.otlp.mend import count_once, mend
from penstock.observability.otlp.normalise import Normaliser, Owner
from penstock.observability.otlp.protobuf import Reader
from penstock.observability.otlp.reasons import told
from penstock.observability.otlp.sent import Limits, Sent, Tally
from penstock.observability.otlp.table import Table
from penstock.observability.otlp.through import Through
from penstock.observability.pieces import pieces
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.storage.telemetry.span import Payload, Span
from penstock.storage.telemetry.store import TelemetryStore

AT_ONCE = 50
"""Spans that are worked on before others get their turn: some 3 ms."""

_THREAD_FROM = 1 << 18
"""Packed bytes from which unpacking gets a thread."""

_OWNERS_MOST = 1000
RETRY_SECONDS = 1.0


class Taken(msgspec.Struct, frozen=True):
    """What an export came to: spans that are stored, spans that were refused, and what the sender is told of both."""

    stored: int
    refused: int
    message: str


class Figures(msgspec.Struct, kw_only=True):
    """What came in since this process began. ``refused`` and ``repaired`` count by reason, ``failures`` whole exports by error code;
    ``through`` are the calls among the stored that our own gateway counts."""

    exports: int = 0
    bytes: int = 0
    spans: int = 0
    stored: int = 0
    through: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter[str])
    repaired: Counter[str] = msgspec.field(default_factory=Counter[str])
    failures: Counter[str] = msgspec.field(default_factory=Counter[str])


class Intake:
    """Takes exports for whoever may send them. Belongs to one event loop."""

    def __init__(
        self,
        settings: ObservabilitySettings,
        redactor: Redactor,
        store: Callable[[], TelemetryStore | None],
        prices: Callable[[], Prices | None],
        clock: Callable[[], int] = time.time_ns,
        *,
        forward: Callable[[Sequence[Span]], None] | None = None,
        through: Through | None = None,
    ) -> None:
        otlp = settings.otlp
        self._settings = otlp
        self._limits = Limits(text_bytes=otlp.attribute_max_bytes, attributes=otlp.span_attributes, span_bytes=otlp.span_max_bytes)
        self._payloads = settings.payloads != "none"
        self._payload_bytes = settings.payload_max_bytes
        self._redactor = None if settings.payloads == "full" else redactor
        self._store = store
        self._prices = prices
        self._clock = clock
        self._forward = forward
        self._through = through
        self._table = Table()
        self._waiting = 0
        self._waiting_of: Counter[str] = Counter()
        self.figures = Figures()
        self._figures_of: OrderedDict[str, Figures] = OrderedDict()

    def of(self, organisation: str | None) -> Figures:
        """The figures of one organisation, or of all together for None."""
        return self.figures if organisation is None else self._figures_of.get(organisation) or Figures()

    def admit(self, principal: Principal, size: int) -> None:
        """Make sure that an export of ``size`` bytes may be read. Raises `Forbidden`, `BodyTooLarge`, `LimitExceeded`, `Overloaded`."""
        if not principal.may(Scope.CALL):
            raise Forbidden(f"key {principal.name!r} lacks the scope 'call', which sending spans needs")
        most = self._settings.waiting_bytes
        if size > self._settings.max_body_bytes:
            raise too_large(self._settings.max_body_bytes)
        if self._waiting and self._waiting + size > most:
            raise Overloaded(
                f"exports of {self._waiting} bytes are in work (observability.otlp.waiting_bytes); try again", retry_after=RETRY_SECONDS
            )
        mine = self._waiting_of[principal.organisation]
        if mine and mine + size > most // 2:
            raise LimitExceeded(
                "the organisation's exports already take half of the room (observability.otlp.waiting_bytes); try again",
                retry_after=RETRY_SECONDS,
            )

    async def take(self, principal: Principal, body: bytes, encoding: str, media: str, host: str = "") -> Taken:
        """Take one export; on return its spans survive the death of the process. ``host`` is the authority to which it was sent by HTTP.

        Raises what `admit` and `unpack` do, `MalformedRequest` for bytes that are no export, and what the store raises.
        """
        mine = self._figures(principal.organisation)
        for figures in (self.figures, mine):
            figures.exports += 1
            figures.bytes += len(body)
        size = len(body)
        try:
            self.admit(principal, size)
            self._hold(principal.organisation, size)
            try:
                return await self._take(principal, body, encoding, media, host, mine)
            finally:
                self._hold(principal.organisation, -size)
        except PenstockError as fault:
            self.figures.failures[fault.code] += 1
            mine.failures[fault.code] += 1
            raise

    def refuse(self, fault: PenstockError) -> None:
        """Count an export that was refused before it was read: an unknown key, a body that did not arrive."""
        self.figures.exports += 1
        self.figures.failures[fault.code] += 1

    def metrics(self) -> Iterable[Metric]:
        """Exports and spans, and what was wrong with them."""
        figures = self.figures
        yield Metric(name="penstock_otlp_exports", help="Exports that came over OTLP.", kind="counter", samples=(({}, figures.exports),))
        yield Metric(name="penstock_otlp_bytes", help="Bytes of these exports, as sent.", kind="counter", samples=(({}, figures.bytes),))
        yield Metric(name="penstock_otlp_spans", help="Spans in these exports.", kind="counter", samples=(({}, figures.spans),))
        yield Metric(name="penstock_otlp_spans_stored", help="Spans that were stored.", kind="counter", samples=(({}, figures.stored),))
        help = "Calls among them that went through this house's gateway, which counts their tokens and costs."
        yield Metric(name="penstock_otlp_spans_through", help=help, kind="counter", samples=(({}, figures.through),))
        yield _by("penstock_otlp_spans_refused", "Spans refused, by reason.", "reason", figures.refused)
        yield _by("penstock_otlp_repairs", "What was repaired in spans, by reason.", "reason", figures.repaired)
        yield _by("penstock_otlp_exports_failed", "Exports refused as a whole, by error code.", "code", figures.failures)
        yield Metric(
            name="penstock_otlp_waiting_bytes", help="Bytes of exports in work.", kind="gauge", samples=(({}, float(self._waiting)),)
        )

    async def _take(self, principal: Principal, body: bytes, encoding: str, media: str, host: str, mine: Figures) -> Taken:
        store = self._store()
        if store is None:
            raise Unavailable("there is no telemetry store in this house, so no spans are taken", retry_after=RETRY_SECONDS)
        most = self._settings.max_body_bytes
        if encoding:
            packed = len(body)
            body = await asyncio.to_thread(unpack, body, encoding, most) if packed > _THREAD_FROM else unpack(body, encoding, most)
        tally = Tally()
        now = self._clock()
        sent = await self._read(body, media, tally)
        kept = mend(sent, now, int(self._settings.future_seconds * 1e9), tally)
        prices = self._prices()
        normaliser = Normaliser(
            self._table,
            _owner(principal),
            tally,
            prices.estimate if prices is not None else None,
            payloads=self._payloads,
            payload_bytes=self._payload_bytes,
        )
        spans: list[Span] = []
        for at in range(0, len(kept), AT_ONCE):
            some = [normaliser.span(one) for one in kept[at : at + AT_ONCE]]
            if self._redactor is not None:
                clean(some, self._redactor)
            spans += some
            await asyncio.sleep(0)
        through = self._through.mark(kept, spans, host) if self._through is not None else 0
        count_once(spans)
        batch = _batch(principal.organisation, body)
        for number, some in enumerate(pieces(spans)):
            await store.append(some, f"{batch}-{number}")
            if self._forward is not None:
                self._forward(some)
        refused = tally.refused.total()
        for figures in (self.figures, mine):
            figures.spans += tally.spans
            figures.stored += len(spans)
            figures.refused += tally.refused
            figures.repaired += tally.repaired
            figures.through += through
        return Taken(len(spans), refused, told(tally.refused, tally.repaired))

    async def _read(self, body: bytes, media: str, tally: Tally) -> list[Sent]:
        reader = JsonReader(body, self._limits, tally) if media == JSON else Reader(body, self._limits, tally)
        sent: list[Sent] = []
        for span in reader.spans():
            if span is not None:
                sent.append(span)
            if tally.spans % AT_ONCE == 0:
                await asyncio.sleep(0)
        return sent

    def _hold(self, organisation: str, size: int) -> None:
        self._waiting += size
        self._waiting_of[organisation] += size
        if not self._waiting_of[organisation]:
            del self._waiting_of[organisation]

    def _figures(self, organisation: str) -> Figures:
        found = self._figures_of.get(organisation)
        if found is None:
            found = self._figures_of[organisation] = Figures()
            if len(self._figures_of) > _OWNERS_MOST:
                self._figures_of.popitem(last=False)
        return found


def clean(spans: Sequence[Span], redactor: Redactor) -> None:
    """Replace secrets in what spans say. Most hold none, which one look at all of them tells."""
    texts: list[str] = list({span.resource for span in spans})
    for span in spans:
        texts += (span.name, span.attributes)
        if span.message or span.events or span.links:
            texts += (span.message, span.events, span.links)
        if span.payload is not None:
            texts += (span.payload.input, span.payload.output)
    if not redactor.suspects("\n".join(texts).encode("utf-8", "replace")):
        return
    for span in spans:
        for name in ("name", "message", "attributes", "events", "links", "resource"):
            text = getattr(span, name)
            if text:
                setattr(span, name, redactor.text(text))
        if span.payload is not None:
            span.payload = Payload(input=redactor.text(span.payload.input), output=redactor.text(span.payload.output))


def _owner(principal: Principal) -> Owner:
    return Owner(principal.organisation, principal.team or "", principal.project or "", principal.person or "", principal.key_id)


def _batch(organisation: str, body: bytes) -> str:
    """The same bytes of the same organisation have the same name, so an export that is sent again is stored once."""
    return hashlib.blake2b(body, digest_size=24, key=organisation.encode()[:64]).hexdigest()


def _by(name: str, help: str, label: str, counts: Counter[str]) -> Metric:
    samples = tuple(({label: reason}, float(count)) for reason, count in sorted(counts.items()))
    return Metric(name=name, help=help, kind="counter", samples=samples or (({label: "none"}, 0.0),))
