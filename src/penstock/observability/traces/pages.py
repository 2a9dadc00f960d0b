"""Traces in the console: the search, one trace, one span."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from penstock.console import Console
from penstock.kernel.errors import MalformedRequest, NotFound, RequestError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal
from penstock.kernel.web import Page
from penstock.observability.otlp.messages import is_dictionary
from penstock.observability.traces.annotations import Annotation, Annotations
from penstock.observability.traces.conversation import as_turns
from penstock.observability.traces.graph import graph
from penstock.observability.traces.query import INNER, SpanQuery
from penstock.observability.traces.service import Traces, detail, pick, read_payload
from penstock.observability.traces.similar import Likeness
from penstock.observability.traces.tree import Node, Tree, plant
from penstock.observability.traces.waterfall import More, Row, rows
from penstock.storage.telemetry.span import KINDS, STATUSES, Span

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50
HOURS = {"1": "Last hour", "24": "Last day", "168": "Last 7 days", "720": "Last 30 days", "": "Any time"}
SHOW = (("", "Traces, or spans once filtered"), ("traces", "Traces"), ("spans", "All spans"))
OWN = ("hours", "show", "min_cost", "cursor")
"""Fields of the page's address that routes do not have."""

SHOWN_CHARACTERS = 50_000


def trace_pages(ports: Ports, traces: Traces, likeness: Likeness, annotations: Annotations) -> Sequence[Page]:
    """The search, one trace and further rows of it, one span."""

    def console() -> Console:
        return ports.get(Console)

    async def search(request: Request, principal: Principal) -> Response:
        given = {name: value for name, value in request.query_params.items() if value}
        query, show = asked(given)
        context: dict[str, Any] = {"rows": [], "older": "", "api": "", "automatic": not given.get("show")}
        if traces.on:
            found = await traces.page(await traces.filter(principal, query), given.get("cursor", ""), PER_PAGE)
            sums = await traces.totals(principal.reach, found.spans) if show == "traces" else {}
            kept = {name: value for name, value in given.items() if name != "cursor"}
            context |= {
                "rows": [listed(span, sums.get(span.trace_id)) for span in found.spans],
                "older": f"/console/traces?{urlencode({**kept, 'cursor': found.cursor})}" if found.cursor else "",
                "api": api_address(query),
            }
        return console().page(
            request,
            "observability/traces/search.html",
            title="Traces",
            on=traces.on,
            given=given,
            show=show,
            tenants=principal.reach is None,
            name=names(ports),
            hours=tuple(HOURS.items()),
            chosen_hours=given.get("hours", "24" if "since" not in given and "until" not in given else ""),
            kinds=(("", "Any kind"), *((kind, kind.capitalize()) for kind in KINDS)),
            statuses=(("", "Any status"), *((status, status.capitalize()) for status in STATUSES)),
            shows=SHOW,
            **context,
        )

    async def notes(principal: Principal, trace: str, span: str) -> dict[str, Any]:
        said = await annotations.of(principal, trace)
        here = [one for one in said if not span or one.span == span]
        mine = set(await annotations.removable(principal, trace))
        return {"said_of": here, "may_remove": mine, "labels": await annotations.labels(principal.reach), "noted": _noted(said)}

    async def tree_of(principal: Principal, trace: str) -> tuple[Tree, bool]:
        found, more = await traces.spans(principal, trace)
        return plant(found, time.time_ns()), more

    async def one(request: Request, principal: Principal) -> Response:
        trace = request.path_params["trace"]
        tree, more = await tree_of(principal, trace)
        under, skip = _place(request, tree)
        root = tree.roots[0]
        spans = [node.span for node in tree.order]
        costs = [span.cost_micros for span in spans if span.cost_micros is not None]
        said = await traces.opened(principal, root.span, "console") if root.payload else None
        return console().page(
            request,
            "observability/traces/trace.html",
            title=root.span.name or "Trace",
            crumbs=(("Traces", "/console/traces"),),
            trace=trace,
            root=root.span,
            tree=tree,
            more=more,
            under=under,
            rows=rows(tree, under, skip),
            is_more=_is_more,
            total=(tree.end_ns - tree.start_ns) / 1e6,
            graph=graph(tree),
            failed=sum(span.status == "failed" for span in spans),
            calls=sum(span.kind == "call" for span in spans),
            tokens=(sum(span.input_tokens or 0 for span in spans), sum(span.output_tokens or 0 for span in spans)),
            cost=sum(costs) if costs else None,
            facts=facts_of(root.span, names(ports)),
            said=said,
            **await notes(principal, trace, ""),
            turns=(as_turns(said.input), as_turns(said.output)) if said is not None else (None, None),
            name=names(ports),
        )

    async def further(request: Request, principal: Principal) -> Response:
        trace = request.path_params["trace"]
        tree, _ = await tree_of(principal, trace)
        under, skip = _place(request, tree)
        return console().part(
            "observability/traces/rows.html",
            trace=trace,
            rows=rows(tree, under, skip),
            is_more=_is_more,
            noted=_noted(await annotations.of(principal, trace)),
            total=(tree.end_ns - tree.start_ns) / 1e6,
        )

    async def span(request: Request, principal: Principal) -> Response:
        trace, id = request.path_params["trace"], request.path_params["span"]
        found, _ = await traces.spans(principal, trace)
        shown = detail(pick(found, id))
        tree = plant(found, time.time_ns())
        at = next(index for index, node in enumerate(tree.order) if node.span.span_id == id)
        node = tree.order[at]
        payload = await traces.opened(principal, shown.span, "console") if shown.payload else None
        return console().page(
            request,
            "observability/traces/span.html",
            title=shown.span.name or "Span",
            crumbs=(("Traces", "/console/traces"), (_short(tree.roots[0].span.name) or "Trace", f"/console/traces/{trace}")),
            trace=trace,
            span=shown.span,
            shown=shown,
            node=node,
            took=took(shown.span),
            **await notes(principal, trace, id),
            facts=facts_of(shown.span, names(ports)),
            said=read_payload(payload),
            may=traces.access.may(principal),
            scope=traces.access.scope.value,
            pretty=pretty,
            before=tree.order[at - 1] if at else None,
            after=tree.order[at + 1] if at + 1 < len(tree.order) else None,
            links=_links(shown.links),
            call=shown.attributes.get("penstock.call.id"),
            most=SHOWN_CHARACTERS,
        )

    async def similar(request: Request, principal: Principal) -> Response:
        trace, id = request.path_params["trace"], request.path_params["span"]
        own = (await traces.span(principal, trace, id)).span
        fault, found = "", None
        try:
            found = await likeness.like(principal, trace, id, via="console")
        except NotFound:
            raise
        except RequestError as error:
            fault = error.message
        return console().page(
            request,
            "observability/traces/similar.html",
            title="Similar prompts",
            crumbs=(("Traces", "/console/traces"), (_short(own.name) or "Span", f"/console/traces/{trace}/spans/{id}")),
            trace=trace,
            span=own,
            fault=fault,
            found=found,
            rows=[
                {**listed(one.span), "href": f"/console/traces/{one.span.trace_id}/spans/{one.span.span_id}", "said": one.said}
                | {"likeness": one.likeness}
                for one in (found.data if found is not None else ())
            ],
        )

    return (
        Page(path="/console/traces", handler=search),
        Page(path="/console/traces/{trace}", handler=one),
        Page(path="/console/traces/{trace}/rows", handler=further),
        Page(path="/console/traces/{trace}/spans/{span}", handler=span),
        Page(path="/console/traces/{trace}/spans/{span}/similar", handler=similar),
    )


def asked(given: Mapping[str, str]) -> tuple[SpanQuery, str]:
    """The question that a page's address asks, and whether it lists ``traces`` or ``spans``. Raises `MalformedRequest`."""
    known = {field.encode_name for field in msgspec.structs.fields(SpanQuery)} - {"roots", "min_cost_micros"}
    fields: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    for name in ("annotated", "flagged"):
        if name in fields:
            fields[name] = "true" if fields[name] in ("on", "true", "1") else "false"
    hours = given.get("hours", "24" if "since" not in given and "until" not in given else "")
    try:
        if hours:
            fields["since"] = max(0.0, time.time() - float(hours) * 3600)
        if given.get("min_cost"):
            fields["min_cost_micros"] = round(float(given["min_cost"]) * 1e6)
    except (ValueError, OverflowError) as fault:
        raise MalformedRequest("hours and min_cost are numbers") from fault
    show = given.get("show") or ("spans" if any(given.get(name) for name in (*INNER, "min_cost")) else "traces")
    if show not in ("traces", "spans"):
        raise MalformedRequest("show is traces or spans", param="show")
    try:
        query = msgspec.convert({**fields, "roots": show == "traces"}, SpanQuery, strict=False)
    except msgspec.ValidationError as fault:
        raise MalformedRequest(f"filter: {fault}") from fault
    return query, show


def api_address(query: SpanQuery) -> str:
    """The route that answers the same question."""
    said = msgspec.to_builtins(query)
    default = msgspec.to_builtins(SpanQuery())
    given = {name: str(value).lower() if isinstance(value, bool) else value for name, value in said.items() if value != default[name]}
    return f"/v1/traces?{urlencode(given)}" if given else "/v1/traces"


def listed(span: Span, sums: Any = None) -> dict[str, Any]:
    """A span as lists show it."""
    return {"span": span, "sums": sums, "href": f"/console/traces/{span.trace_id}", "at": span.start_ns / 1e9, "took": took(span)}


def took(span: Span) -> float:
    """Milliseconds from start to end."""
    return (span.end_ns - span.start_ns) / 1e6


def names(ports: Ports) -> Any:
    """A function from an owner's id to its name."""

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None else id

    return name


def facts_of(span: Span, name: Any) -> list[tuple[str, str]]:
    """What is known of a span, in words; what is not, is left out."""
    asked_for = span.model if not span.answered or span.answered == span.model else f"{span.model or '—'}, answered by {span.answered}"
    found = [
        ("Kind", span.kind + (f" ({span.operation})" if span.operation and span.operation != span.kind else "")),
        ("Model", asked_for if span.model or span.answered else ""),
        ("Provider", span.provider),
        ("Agent", span.agent),
        ("Tool", span.tool),
        ("Task", span.task),
        ("Prompt", span.prompt),
        ("Service", " ".join(part for part in (span.service, span.release) if part)),
        ("Environment", span.environment),
        ("Person", name(span.person) if span.person else ""),
        ("Organisation", name(span.organisation) if span.organisation else ""),
        ("Team", name(span.team) if span.team else ""),
        ("Project", name(span.project) if span.project else ""),
        ("Key", name(span.key) if span.key else ""),
        ("Source", span.source),
        ("Guards", span.verdict),
    ]
    return [(label, value) for label, value in found if value]


def pretty(value: Any) -> str:
    """JSON with line breaks; a text as it is."""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()


def _links(links: Sequence[Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for link in links:
        trace, span = (str(link.get("trace", "")), str(link.get("span", ""))) if is_dictionary(link) else ("", "")
        if len(trace) == 32 and len(span) == 16:
            found.append((f"{trace}, {span}", f"/console/traces/{trace}/spans/{span}"))
    return found


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _noted(said: Sequence[Annotation]) -> Mapping[str, int]:
    """How often something was said of each span."""
    return Counter(one.span for one in said if one.span)


def _is_more(row: Row | More) -> bool:
    return isinstance(row, More)


def _place(request: Request, tree: Tree) -> tuple[Node | None, int]:
    under, skip = request.query_params.get("under", ""), request.query_params.get("skip", "0")
    if not skip.isdecimal() or len(skip) > 9:
        raise MalformedRequest("skip is a number", param="skip")
    found = tree.find(under) if under else None
    if under and found is None:
        raise NotFound(f"no span {under[:64]!r} in this trace")
    return found, int(skip)
