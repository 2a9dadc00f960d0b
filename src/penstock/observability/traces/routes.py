"""The JSON routes of spans, traces and conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.observability.traces.conversation import Replay, replay
from penstock.observability.traces.query import SpanQuery
from penstock.observability.traces.service import SpanDetail, SpanPage, SpanPayload, TraceFound, Traces
from penstock.observability.traces.similar import Likeness, Similar

OFF = {"503": "Spans are not kept here, or the store cannot answer."}


class SearchQuery(SpanQuery, frozen=True, kw_only=True):
    """Which spans are meant, how many of them, and where the last page ended."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    cursor: Annotated[str, Meta(max_length=200)] = ""


class SimilarQuery(Struct, frozen=True, kw_only=True):
    """How many spans are wanted."""

    limit: Annotated[int, Meta(ge=1, le=40)] = 20


def trace_routes(traces: Traces, likeness: Likeness) -> Sequence[Route]:
    """Search, one trace, one span."""

    async def search(ask: Ask) -> SpanPage:
        query = ask.query(SearchQuery)
        return await traces.search(ask.principal, query, query.cursor, query.limit)

    async def one(ask: Ask) -> TraceFound:
        return await traces.trace(ask.principal, ask.path["trace"])

    async def span(ask: Ask) -> SpanDetail:
        return await traces.span(ask.principal, ask.path["trace"], ask.path["span"])

    async def payload(ask: Ask) -> SpanPayload:
        return await traces.payload(ask.principal, ask.path["trace"], ask.path["span"])

    async def again(ask: Ask) -> Replay:
        found = await traces.span(ask.principal, ask.path["trace"], ask.path["span"])
        said = await traces.payload(ask.principal, ask.path["trace"], ask.path["span"])
        return replay(found.span.model or found.span.answered, said.input, found.attributes)

    async def similar(ask: Ask) -> Similar:
        return await likeness.like(ask.principal, ask.path["trace"], ask.path["span"], ask.query(SimilarQuery).limit)

    read = Scope.READ
    path = "/v1/traces/{trace}/spans/{span}"
    return (
        Route(
            method="GET",
            path="/v1/traces",
            handler=search,
            summary="Look for spans.",
            scope=read,
            query=SearchQuery,
            returns=SpanPage,
            failures=OFF,
        ),
        Route(method="GET", path="/v1/traces/{trace}", handler=one, summary="Show a trace.", scope=read, returns=TraceFound, failures=OFF),
        Route(method="GET", path=path, handler=span, summary="Show a span.", scope=read, returns=SpanDetail, failures=OFF),
        Route(
            method="GET",
            path=f"{path}/payload",
            handler=payload,
            summary="Show a span's prompt and reply.",
            scope=read,
            returns=SpanPayload,
            failures=OFF,
        ),
        Route(
            method="GET",
            path=f"{path}/replay",
            handler=again,
            summary="A span's call as the playground takes it.",
            scope=read,
            returns=Replay,
            failures=OFF,
        ),
        Route(
            method="GET",
            path=f"{path}/similar",
            handler=similar,
            summary="Spans with a similar prompt.",
            scope=read,
            query=SimilarQuery,
            returns=Similar,
            failures=OFF,
        ),
    )
