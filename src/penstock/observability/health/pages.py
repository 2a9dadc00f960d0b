"""The Health page in the console."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import msgspec

from penstock.console import Console
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import MarkSources, MeasureSources
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal
from penstock.kernel.web import Page
from penstock.observability.health.asking import Name, Narrowed
from penstock.observability.health.compare import PERIOD, SAID, CompareQuery, Comparison
from penstock.observability.health.panels import UNITS
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
            empty=all(not chart["x"] for chart in shown.charts if chart["id"] == "calls"),
        )

    async def compare(request: Request, principal: Principal) -> Response:
        query = given_as(request, ComparePage)
        if query.last not in LAST:
            raise MalformedRequest("last is not one of the choices", param="last")
        store = ports.find(TelemetryStore)
        if store is None:
            return console().page(request, "observability/health/off.html", title="Compare")
        now = time.time()
        if query.since is None or query.until is None:
            query = msgspec.structs.replace(query, until=now, since=now - float(query.last))
        assert query.since is not None
        assert query.until is not None
        sources = ports.get(MeasureSources)
        found, charts, values = None, list[dict[str, Any]](), list[str]()
        if query.what != PERIOD:
            asked = Health(sources, ports.get(MarkSources), store)
            choices = await asked.choices(principal.reach, query.since, query.until, {}, ((query.what,),))
            values = sorted({*choices[query.what], *filter(None, (query.a, query.b))})
        if query.what == PERIOD or (query.a and query.b):
            comparison = Comparison(sources)
            found = await comparison.compared(query, principal.reach, now)
            charts = await comparison.charts(query, principal.reach, now)
        given = {**fields_of(query), "what": query.what, "a": query.a, "b": query.b, "against": query.against}
        fixed = request.query_params.get("since") and request.query_params.get("until")
        times = {"since": f"{query.since:.0f}", "until": f"{query.until:.0f}"}
        return console().page(
            request,
            "observability/health/compare.html",
            title="Compare",
            crumbs=(("Health", "/console/health"),),
            query=query,
            found=found,
            charts=charts,
            values=values,
            whats=WHATS,
            last=LAST,
            fixed=times if fixed else {},
            hidden=fields_of(query),
            units=UNITS,
            said=SAID,
            api=f"/v1/measures/compare?{urlencode({name: value for name, value in {**given, **times}.items() if value})}",
        )

    return (Page(path="/console/health", handler=health), Page(path="/console/health/compare", handler=compare))


WHATS = {
    PERIOD: "Periods",
    "release": "Releases",
    "model": "Models",
    "answered": "Model versions",
    "task": "Tasks",
    "team": "Teams",
    "prompt": "Prompts",
}


class ComparePage(CompareQuery, frozen=True, kw_only=True):
    """The address of the page of comparisons."""

    last: Name = "604800"
    by: Name = ""  # of the Health page from which the reader comes; nothing is grouped here


Q = TypeVar("Q", bound=Narrowed)


_FIELDS = frozenset({"task", "model", "team", "release", "by"})


def given_as(request: Request, kind: type[Q]) -> Q:
    """What the address says. Raises `MalformedRequest` for what it cannot mean."""
    given = {name: value for name, value in request.query_params.items() if value}
    unknown = sorted(given.keys() - set(kind.__struct_fields__))
    if unknown:
        raise MalformedRequest(f"{unknown[0][:100]!r} is nothing that this page is asked by", param=unknown[0])
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as fault:
        raise MalformedRequest(f"filter: {fault}") from fault


def page_query(request: Request) -> PageQuery:
    """What the address of Health says. Raises `MalformedRequest`."""
    query = given_as(request, PageQuery)
    if query.last not in LAST or query.by not in BY:
        raise MalformedRequest("last or by is not one of the choices", param="last" if query.last not in LAST else "by")
    return query


def _without(fields: dict[str, str], name: str) -> str:
    return f"/console/health?{urlencode({k: v for k, v in fields.items() if k != name})}"
