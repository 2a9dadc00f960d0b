"""The Health page in the console."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from penstock.console import Console
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import MarkSources, MeasureSources
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal
from penstock.kernel.web import Page
from penstock.observability.health.shown import BY, LAST, Health, PageQuery, fields_of
from penstock.storage.telemetry.store import TelemetryStore

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def health_pages(ports: Ports) -> Sequence[Page]:
    """The pages."""

    def console() -> Console:
        return ports.get(Console)

    async def health(request: Request, principal: Principal) -> Response:
        query = page_query(request)
        store = ports.find(TelemetryStore)
        if store is None:
            return console().page(request, "observability/health/off.html", title="Health")
        asked = Health(ports.get(MeasureSources), ports.get(MarkSources), store)
        shown = await asked.shown(query, principal.reach, time.time())
        given = fields_of(query)
        fixed = (
            {"since": f"{query.since:.0f}", "until": f"{query.until:.0f}"} if query.since is not None and query.until is not None else {}
        )
        directory = ports.find(Directory)
        teams = [(id, directory.name(id) if directory is not None else id) for id in shown.choices["team"]]
        return console().page(
            request,
            "observability/health/health.html",
            title="Health",
            shown=shown,
            query=query,
            given=given,
            fixed=fixed,
            more=[
                (name, value, _without(given | fixed | {"last": query.last}, name)) for name, value in given.items() if name not in _FIELDS
            ],
            teams=teams,
            last=LAST,
            by=BY,
            compare=f"/console/health/compare?{urlencode({**given, 'last': query.last})}",
            empty=not any(chart["x"] for chart in shown.charts),
        )

    return (Page(path="/console/health", handler=health),)


_FIELDS = frozenset({"task", "model", "team", "release", "by"})


def page_query(request: Request) -> PageQuery:
    """What the address says. Raises `MalformedRequest` for what it cannot mean."""
    given = {name: value for name, value in request.query_params.items() if value}
    unknown = sorted(given.keys() - set(PageQuery.__struct_fields__))
    if unknown:
        raise MalformedRequest(f"{unknown[0][:100]!r} is nothing that Health is asked by", param=unknown[0])
    try:
        query = msgspec.convert(given, PageQuery, strict=False)
    except msgspec.ValidationError as fault:
        raise MalformedRequest(f"filter: {fault}") from fault
    if query.last not in LAST or query.by not in BY:
        raise MalformedRequest("last or by is not one of the choices", param="last" if query.last not in LAST else "by")
    return query


def _without(fields: dict[str, str], name: str) -> str:
    return f"/console/health?{urlencode({k: v for k, v in fields.items() if k != name})}"
