"""The Health page in the console."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
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
from penstock.observability.health.compare import PERIOD, SAID, Compared, CompareQuery, Comparison
from penstock.observability.health.panels import UNITS
from penstock.observability.health.patience import Patience
from penstock.observability.health.shown import BY, LAST, Health, PageQuery, Shown, fields_of, picked
from penstock.storage.telemetry.store import TelemetryStore

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def health_pages(ports: Ports) -> Sequence[Page]:
    """The pages."""

    shown_soon = Patience[Shown]()
    compared_soon = Patience[tuple[Compared | None, list[dict[str, Any]], list[str]]]()

    def console() -> Console:
        return ports.get(Console)

    async def health(request: Request, principal: Principal) -> Response:
        query = page_query(request)
        store = ports.find(TelemetryStore)
        if store is None:
            return console().page(request, "observability/health/off.html", title="Health")
        asked = Health(ports.get(MeasureSources), ports.get(MarkSources), store)
        shown = await _patient(request, principal, shown_soon, lambda: asked.shown(query, principal.reach, time.time()))
        given = fields_of(query)
        fixed = (
            {"since": f"{query.since:.0f}", "until": f"{query.until:.0f}"} if query.since is not None and query.until is not None else {}
        )
        directory = ports.find(Directory)
        choices = shown.choices if shown is not None else picked(query)
        teams = [(id, directory.name(id) if directory is not None else id) for id in choices["team"]]
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
            choices=choices,
            teams=teams,
            last=LAST,
            by=BY,
            compare=f"/console/health/compare?{urlencode({**given, 'last': query.last})}",
            empty=shown is not None and all(not chart["x"] for chart in shown.charts if chart["id"] == "calls"),
        )

    async def sides(query: ComparePage, reach: str | None, now: float) -> tuple[Compared | None, list[dict[str, Any]], list[str]]:
        assert query.since is not None
        assert query.until is not None
        sources = ports.get(MeasureSources)
        values = list[str]()
        if query.what != PERIOD:
            asked = Health(sources, ports.get(MarkSources), ports.find(TelemetryStore))
            choices = await asked.choices(reach, query.since, query.until, {}, ((query.what,),))
            values = sorted({*choices[query.what], *filter(None, (query.a, query.b))})
            if not query.a or not query.b:
                return None, [], values
        comparison = Comparison(sources)
        return await comparison.compared(query, reach, now), await comparison.charts(query, reach, now), values

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
        both = await _patient(request, principal, compared_soon, lambda: sides(query, principal.reach, now))
        found, charts, values = both if both is not None else (None, list[dict[str, Any]](), sorted(filter(None, (query.a, query.b))))
        given = {**fields_of(query), "what": query.what, "a": query.a, "b": query.b, "against": query.against}
        fixed = request.query_params.get("since") and request.query_params.get("until")
        times = {"since": f"{query.since:.0f}", "until": f"{query.until:.0f}"}
        return console().page(
            request,
            "observability/health/compare.html",
            title="Compare",
            crumbs=(("Health", "/console/health"),),
            query=query,
            asking=both is None,
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
T = TypeVar("T")


async def _patient(request: Request, principal: Principal, patience: Patience[T], work: Callable[[], Awaitable[T]]) -> T | None:
    """What the page is made of; None where a browser that opens it should draw the rest of it first, and ask again by htmx."""
    key = (principal.reach, principal.organisation, request.url.query)
    return await (patience.whole(key, work) if request.headers.get("hx-request") else patience.soon(key, work))


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
