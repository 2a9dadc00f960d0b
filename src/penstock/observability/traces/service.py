"""Answers what pages and routes ask about spans, each within what its reader may see."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from penstock.kernel.errors import NotFound, Unavailable
from penstock.kernel.principal import Principal
from penstock.observability.access.service import PayloadAccess, Via
from penstock.observability.otlp.messages import decoded, is_dictionary, is_list
from penstock.observability.traces.conversation import as_turns
from penstock.observability.traces.query import SpanQuery, meant
from penstock.observability.turns import Transcript
from penstock.storage.telemetry.questions import MAX_LIMIT, Filter, Page, Stored, Threads
from penstock.storage.telemetry.span import Payload, Span
from penstock.storage.telemetry.store import TelemetryStore

MOST_SPANS = 5000
"""Spans of one trace that are read; of a longer one the first."""

MOST_ANNOTATED = 1000
"""Traces with annotations that one question looks at, the ones annotated last."""

_TURNS, _LARGE = 4, 200
"""How often the spans of a list of traces are asked for, and how many of one trace are enough to leave its sums out."""

Annotated = Callable[[str | None, str, int], Awaitable[Sequence[str]]]
"""Traces with an annotation, of an organisation (all for None) and with a label (any for an empty one), the latest first."""


class SpanPage(msgspec.Struct, frozen=True, kw_only=True):
    """Spans, newest first, without payloads, attributes, events and links."""

    data: list[Span]
    next_cursor: str | None


class SpanDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A span with all that is known of it; ``payload`` says whether prompt or reply is stored. The span's own texts of JSON are empty:
    they are beside it, decoded."""

    span: Span
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[Any]
    links: list[Any]
    payload: bool


class TraceFound(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of one trace, in the order of their starts. ``more`` says that it has further ones, which are left out."""

    trace_id: str
    spans: list[SpanDetail]
    more: bool


class SpanPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What went into a span and what came out: as it is stored, and as turns where it is messages. Empty where nothing is stored."""

    input: str = ""
    output: str = ""
    input_turns: Transcript | None = None
    output_turns: Transcript | None = None


class Totals(msgspec.Struct, kw_only=True):
    """What all spans of a trace come to; ``whole`` is false where some of them were not read."""

    spans: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    priced: bool = False
    whole: bool = True


class Traces:
    """The service. ``store`` is asked anew for each question: there is none where it is switched off. ``access`` knows who may see
    prompts and replies, and is told who did."""

    def __init__(self, store: Callable[[], TelemetryStore | None], annotated: Annotated, access: PayloadAccess) -> None:
        self._store = store
        self._annotated = annotated
        self.access = access

    @property
    def on(self) -> bool:
        """Whether spans are kept at all."""
        return self._store() is not None

    @property
    def store(self) -> TelemetryStore:
        """The store. Raises `Unavailable` where it is switched off."""
        found = self._store()
        if found is None:
            raise Unavailable('spans are not kept here: storage.telemetry is "off"')
        return found

    async def filter(self, reader: Principal, query: SpanQuery) -> Filter:
        """Which spans ``query`` means for this reader. Raises `Forbidden` for words of texts that the reader may not see."""
        if query.text:
            self.access.require(reader)
        traces: tuple[str, ...] | None = None
        if query.annotated or query.label:
            traces = tuple(await self._annotated(reader.reach, query.label, MOST_ANNOTATED))
        # No trace has this id: none is annotated, so none is meant.
        return meant(query, reader.reach, traces if traces is None or traces else ("0" * 32,))

    async def search(self, reader: Principal, query: SpanQuery, cursor: str, limit: int) -> SpanPage:
        """Spans, newest first. Raises `MalformedRequest` and `RequestError` for what makes no sense."""
        found = await self.page(await self.filter(reader, query), cursor, limit)
        return SpanPage(data=found.spans, next_cursor=found.cursor or None)

    async def caught_up(self, seconds: float) -> None:
        """Return when what came before is found, or when that has taken so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.store.flush()

    async def page(self, which: Filter, cursor: str = "", limit: int = 50) -> Page:
        return await self.store.search(which, limit, cursor)

    async def spans(self, reader: Principal, trace: str) -> tuple[list[Stored], bool]:
        """The spans of a trace, at most `MOST_SPANS`, and whether there are more. Raises `NotFound`, also for another's trace."""
        if len(trace) != 32 or not set(trace) <= set("0123456789abcdef"):
            raise NotFound(f"no trace {trace[:64]!r}: an id has 32 lower-case hexadecimal digits")
        found = await self.store.trace(trace, reader.reach, MOST_SPANS + 1)
        if not found:
            raise NotFound(f"no trace {trace!r}; it may be older than the retention, or sent only moments ago")
        return found[:MOST_SPANS], len(found) > MOST_SPANS

    async def trace(self, reader: Principal, trace: str) -> TraceFound:
        """One trace with all its spans."""
        found, more = await self.spans(reader, trace)
        # Thousands of spans take a good part of a second to be put into words.
        spans = await asyncio.to_thread(lambda: [detail(one) for one in found])
        return TraceFound(trace_id=trace, spans=spans, more=more)

    async def span(self, reader: Principal, trace: str, span: str) -> SpanDetail:
        """One span. Raises `NotFound`."""
        found, _ = await self.spans(reader, trace)
        return detail(pick(found, span))

    async def owner(self, reader: Principal, trace: str, span: str = "") -> str:
        """The organisation that a trace belongs to, which has the span where one is named. Raises `NotFound`."""
        found, _ = await self.spans(reader, trace)
        return (pick(found, span) if span else found[0]).span.organisation

    async def payload(self, reader: Principal, trace: str, span: str) -> SpanPayload:
        """What went into a span and came out, for the API. Raises `NotFound` for a span that is not there, and `Forbidden`."""
        self.access.require(reader)
        return read_payload(await self.opened(reader, (await self.span(reader, trace, span)).span, "api"))

    async def opened(self, reader: Principal, span: Span, via: Via) -> Payload | None:
        """What went into a span and came out, for this reader to see, which goes on the trail; None where nothing is kept, or where the
        reader may not see it."""
        if not self.access.may(reader):
            return None
        found = await self.store.payload(span.trace_id, span.span_id, reader.reach)
        if found is not None:
            await self.access.note(reader, "opened", "span", f"{span.trace_id}/{span.span_id}", span.organisation, via)
        return found

    async def totals(self, reach: str | None, roots: Sequence[Span]) -> dict[str, Totals]:
        """What the traces of these spans come to, by trace id."""
        if not roots:
            return {}
        ids = tuple({span.trace_id for span in roots})
        # The period lets the store leave out nearly all that it has. A span may begin a little before its parent does.
        since = min(span.start_ns for span in roots) - 60 * 10**9
        until = max(span.end_ns for span in roots) + 3600 * 10**9
        which = Filter(organisation=reach, equal={"trace_id": ids}, since_ns=since, until_ns=until)
        made: dict[str, Totals] = {}
        cursor, large = "", set[str]()
        for _ in range(_TURNS):
            found = await self.store.search(which, MAX_LIMIT, cursor)
            for span in found.spans:
                add(made.setdefault(span.trace_id, Totals(whole=False)), span)
            cursor = found.cursor
            if not cursor:
                break
            # One trace of thousands of spans must not hide what the others come to.
            large |= {id for id, totals in made.items() if totals.spans > _LARGE}
            which = msgspec.structs.replace(which, unequal={"trace_id": tuple(large)})
        for id, totals in made.items():
            totals.whole = not cursor and id not in large
        return made

    async def threads(self, reader: Principal, query: SpanQuery, cursor: str, limit: int) -> Threads:
        """Conversations that have a span which the query means, the latest first."""
        return await self.store.threads(await self.filter(reader, query), limit, cursor)


def add(totals: Totals, span: Span) -> None:
    """Count a span in."""
    totals.spans += 1
    totals.failed += span.status == "failed"
    totals.input_tokens += span.input_tokens or 0
    totals.output_tokens += span.output_tokens or 0
    if span.cost_micros is not None:
        totals.cost_micros += span.cost_micros
        totals.priced = True


def pick(found: Sequence[Stored], span: str) -> Stored:
    """The span of this id; the first, where two have it. Raises `NotFound`."""
    for one in found:
        if one.span.span_id == span:
            return one
    raise NotFound(f"no span {span[:64]!r} in this trace")


def detail(stored: Stored) -> SpanDetail:
    """A span with its texts of JSON decoded."""
    span = stored.span
    return SpanDetail(
        span=msgspec.structs.replace(span, attributes="", resource="", events="", links=""),
        attributes=_object(span.attributes),
        resource=_object(span.resource),
        events=_array(span.events),
        links=_array(span.links),
        payload=stored.payload,
    )


def read_payload(payload: Payload | None) -> SpanPayload:
    """A payload with its turns."""
    if payload is None:
        return SpanPayload()
    return SpanPayload(
        input=payload.input,
        output=payload.output,
        input_turns=as_turns(payload.input),
        output_turns=as_turns(payload.output),
    )


def _object(text: str) -> dict[str, Any]:
    found = decoded(text)
    return found if is_dictionary(found) else {}


def _array(text: str) -> list[Any]:
    found = decoded(text)
    return found if is_list(found) else []
