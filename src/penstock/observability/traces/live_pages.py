"""The tail: spans as they come in, from here and from outside, with filters and a pause."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.console import Console
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal
from penstock.kernel.web import Page
from penstock.observability.live import Live
from penstock.observability.traces.pages import asked, listed, names
from penstock.observability.traces.service import Traces
from penstock.storage.telemetry.span import KINDS, STATUSES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ROWS = 100
"""Spans that are shown: the latest. A page that follows grows no further."""

CATCH_UP_SECONDS = 3.0
"""How long a page that was told of spans waits for these to be found. Nobody may tell it again."""

HOURS = 1
"""How far back the tail reaches at most."""


def live_pages(ports: Ports, traces: Traces, arrivals: Live) -> Sequence[Page]:
    """The page, and the stream that tells it when to look again."""

    async def tail(request: Request, principal: Principal) -> Response:
        given = {name: value for name, value in request.query_params.items() if value and name not in ("cursor", "hours", "since", "until")}
        query, show = asked({"show": "spans", **given})
        query = msgspec.structs.replace(query, since=time.time() - HOURS * 3600)
        rows: list[dict[str, Any]] = []
        if traces.on:
            if "hx-request" in request.headers:
                await traces.caught_up(CATCH_UP_SECONDS)
            found = await traces.page(await traces.filter(principal, query), limit=ROWS)
            rows = [listed(span) for span in found.spans]
            for row in rows:
                row["href"] = f"/console/traces/{row['span'].trace_id}/spans/{row['span'].span_id}"
        return ports.get(Console).page(
            request,
            "observability/traces/live.html",
            title="Live",
            on=traces.on,
            given=given,
            show=show,
            rows=rows,
            most=ROWS,
            tenants=principal.reach is None,
            name=names(ports),
            kinds=(("", "Any kind"), *((kind, kind.capitalize()) for kind in KINDS)),
            statuses=(("", "Any status"), *((status, status.capitalize()) for status in STATUSES)),
        )

    async def stream(request: Request, principal: Principal) -> Response:
        from starlette.responses import StreamingResponse

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(arrivals.watch(principal), headers=headers, media_type="text/event-stream")

    return (
        Page(path="/console/live/spans", handler=tail),
        Page(path="/console/live/arrivals", handler=stream),
    )
