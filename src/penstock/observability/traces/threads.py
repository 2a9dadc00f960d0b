"""Conversations: who said what in a session, in order, with what each turn cost and the trace behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.principal import Principal
from penstock.observability.access.service import Via
from penstock.observability.traces.conversation import last_said
from penstock.observability.traces.query import SpanQuery
from penstock.observability.traces.service import Totals, Traces
from penstock.storage.telemetry.questions import MAX_LIMIT, Filter, Thread
from penstock.storage.telemetry.span import Span

TURNS = 20
"""Turns of one page."""

SAID = 20_000
"""Characters of what one side said that are shown; the span has all of it."""


class ThreadPage(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations, the one that was spoken in last first."""

    data: list[Thread]
    next_cursor: str | None


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One trace of a conversation: what was asked and what was told, empty where it was not kept. ``at_ns`` is its start.

    Sums are of all spans of the trace, None where they were not all read.
    """

    trace_id: str
    span_id: str
    name: str
    at_ns: int
    took_ms: float
    status: str
    error_code: str
    person: str
    agent: str
    model: str
    asked: str
    told: str
    spans: int | None
    failed: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_micros: int | None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Turns of a conversation, oldest first; ``next_cursor`` asks for those before them."""

    session: str
    organisation: str
    data: list[Exchange]
    next_cursor: str | None


class Conversations:
    """The service."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    async def list(self, reader: Principal, query: SpanQuery, cursor: str, limit: int) -> ThreadPage:
        """Conversations that have a span which the query means."""
        found = await self._traces.threads(reader, query, cursor, limit)
        return ThreadPage(data=found.threads, next_cursor=found.cursor or None)

    async def one(self, reader: Principal, session: str, organisation: str, cursor: str, via: Via = "api") -> Conversation:
        """The last turns of a conversation before ``cursor``. Raises `NotFound`.

        Organisations name their sessions themselves: where the reader sees several, ``organisation`` says whose is meant.
        """
        reach = reader.reach if reader.reach is not None else organisation or None
        which = Filter(organisation=reach, equal={"session": (session,)}, until_ns=_moment(cursor))
        page = await self._traces.page(which, limit=MAX_LIMIT)
        if not page.spans and not cursor:
            raise NotFound(f"no conversation {session[:100]!r}; it may be older than the retention")
        groups: dict[str, list[Span]] = {}
        for span in page.spans:  # newest first
            groups.setdefault(span.trace_id, []).append(span)
        if page.cursor and len(groups) > 1:
            groups.popitem()  # the oldest one may go on beyond what was read
        more = len(groups) > TURNS or bool(page.cursor)
        kept = list(groups.values())[:TURNS]
        firsts = [_first(group) for group in kept]
        sums = await self._traces.totals(reach, firsts)
        access = self._traces.access
        may = access.may(reader)
        data = await asyncio.gather(*(self._exchange(reach, group, sums.get(group[0].trace_id), may) for group in kept))
        for whose in sorted({first.organisation for first, one in zip(firsts, data, strict=True) if one.asked or one.told}):
            await access.note(reader, "opened", "spans", f"session {session}", whose, via)
        before = min((span.start_ns for group in kept for span in group), default=0)
        return Conversation(
            session=session,
            organisation=firsts[0].organisation if firsts else "",
            data=sorted(data, key=lambda one: one.at_ns),
            next_cursor=str(before) if more else None,
        )

    async def _exchange(self, reach: str | None, group: Sequence[Span], sums: Totals | None, may: bool) -> Exchange:
        first = _first(group)
        asked, told = await self._said(reach, first, may)
        calls = sorted((span for span in group if span.kind == "call"), key=lambda span: span.start_ns)
        if not asked and calls:
            asked, _ = await self._said(reach, calls[0], may)
        if not told and calls:
            _, told = await self._said(reach, calls[-1], may)
        whole = sums if sums is not None and sums.whole else None
        return Exchange(
            trace_id=first.trace_id,
            span_id=first.span_id,
            name=first.name,
            at_ns=first.start_ns,
            took_ms=(first.end_ns - first.start_ns) / 1e6,
            status=first.status,
            error_code=first.error_code,
            person=first.person,
            agent=next((span.agent for span in (first, *group) if span.agent), ""),
            model=next((span.answered or span.model for span in (first, *reversed(calls)) if span.answered or span.model), ""),
            asked=asked[:SAID],
            told=told[:SAID],
            spans=whole.spans if whole else None,
            failed=whole.failed if whole else None,
            input_tokens=whole.input_tokens if whole else None,
            output_tokens=whole.output_tokens if whole else None,
            cost_micros=whole.cost_micros if whole and whole.priced else None,
        )

    async def _said(self, reach: str | None, span: Span, may: bool) -> tuple[str, str]:
        if not may:
            return "", ""
        found = await self._traces.store.payload(span.trace_id, span.span_id, reach)
        return (last_said(found.input, "user"), last_said(found.output, "assistant")) if found is not None else ("", "")


def _first(group: Sequence[Span]) -> Span:
    """The span that holds the others: one without a parent, the earliest where there are several or none."""
    return min(group, key=lambda span: (bool(span.parent_id), span.start_ns, -span.end_ns))


def _moment(cursor: str) -> int | None:
    if cursor and not (cursor.isdecimal() and len(cursor) < 20):
        raise RequestError("the cursor is none that this list gave", param="cursor")
    return int(cursor) if cursor else None
