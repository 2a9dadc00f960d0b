"""Two traces side by side, as a page and as a route."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from penstock.console import Console
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Page, Route
from penstock.observability.access.service import Via
from penstock.observability.traces.conversation import last_said
from penstock.observability.traces.diff import Change, Pair, Piece, aligned, words
from penstock.observability.traces.pages import listed, names
from penstock.observability.traces.routes import OFF
from penstock.observability.traces.service import Traces
from penstock.observability.traces.tree import Tree, plant
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

OUTPUTS = 20
"""Pairs whose outputs are compared word by word: the ones that hold the others first, then calls."""

MOST_ROWS = 500
OTHERS = 20
LONGEST = 20_000

LABELS = {
    "ms": "took",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "cost_micros": "cost",
    "error_code": "error",
    "answered": "answered by",
}


class Output(Struct, frozen=True, kw_only=True):
    """How what one span said differs from what the other said, word by word."""

    name: str
    before: str
    after: str
    pieces: list[Piece]


class Step(Struct, frozen=True, kw_only=True):
    """One step of both traces, or of one: ``kind`` is ``same``, ``changed``, ``only_before`` or ``only_after``; ids are empty for none."""

    depth: int
    kind: str
    name: str
    before: str
    after: str
    changes: list[Change]


class TraceDiff(Struct, frozen=True, kw_only=True):
    """Two traces compared. ``counts`` are steps by kind; ``more`` says that one has more spans than are read."""

    before: str
    after: str
    counts: dict[str, int]
    steps: list[Step]
    outputs: list[Output]
    more: bool


class Compared(Struct, frozen=True, kw_only=True):
    """What was found of two traces."""

    trees: tuple[Tree, Tree]
    pairs: list[Pair]
    outputs: list[Output]
    more: bool


async def compare(traces: Traces, reader: Principal, before: str, after: str, via: Via = "api") -> Compared:
    """Compare two traces that the reader may see; what was said, only where they may see that too. Raises `NotFound`."""
    now = time.time_ns()
    (one, more), (other, further) = await asyncio.gather(traces.spans(reader, before), traces.spans(reader, after))
    trees = plant(one, now), plant(other, now)
    pairs = await asyncio.to_thread(aligned, *trees)
    stored = {(node.span.trace_id, node.span.span_id) for tree in trees for node in tree.order if node.payload}

    def said(span: Span | None) -> bool:
        return span is not None and (span.trace_id, span.span_id) in stored

    may = traces.access.may(reader)
    both = [pair for pair in pairs if may and said(pair.before) and said(pair.after)]
    both.sort(key=lambda pair: (pair.depth > 0, pair.before is None or pair.before.kind != "call"))
    outputs = [found for pair in both[:OUTPUTS] if (found := await _output(traces, reader, pair)) is not None]
    if outputs:
        for whose in {tree.roots[0].span.organisation for tree in trees}:
            await traces.access.note(reader, "opened", "spans", f"{before} beside {after}", whose, via)
    return Compared(trees=trees, pairs=pairs, outputs=outputs, more=more or further)


async def _output(traces: Traces, reader: Principal, pair: Pair) -> Output | None:
    assert pair.before is not None
    assert pair.after is not None
    found = [await traces.store.payload(one.trace_id, one.span_id, reader.reach) for one in (pair.before, pair.after)]
    a, b = (last_said(one.output, "assistant")[:LONGEST] if one is not None else "" for one in found)
    if a == b:
        return None
    pieces = await asyncio.to_thread(words, a, b)
    return Output(name=pair.before.name, before=pair.before.span_id, after=pair.after.span_id, pieces=pieces)


def diff_routes(traces: Traces) -> Sequence[Route]:
    """The route."""

    async def diff(ask: Ask) -> TraceDiff:
        before, after = ask.path["trace"], ask.path["other"]
        found = await compare(traces, ask.principal, before, after, "api")
        steps = [
            Step(
                depth=pair.depth,
                kind=pair.kind,
                name=_name(pair),
                before=pair.before.span_id if pair.before is not None else "",
                after=pair.after.span_id if pair.after is not None else "",
                changes=pair.changes,
            )
            for pair in found.pairs
        ]
        counts = dict(Counter(pair.kind for pair in found.pairs))
        return TraceDiff(before=before, after=after, counts=counts, steps=steps, outputs=found.outputs, more=found.more)

    return (
        Route(
            method="GET",
            path="/v1/traces/{trace}/diff/{other}",
            handler=diff,
            summary="Compare two traces.",
            scope=Scope.READ,
            returns=TraceDiff,
            failures=OFF,
        ),
    )


def diff_pages(ports: Ports, traces: Traces) -> Sequence[Page]:
    """The page. With one trace it offers others of the same name."""

    async def diff(request: Request, principal: Principal) -> Response:
        query = request.query_params
        before, after = query.get("a", ""), query.get("b", "")
        if query.get("all", "") not in ("", "1"):
            raise MalformedRequest("all is 1 or absent", param="all")
        context: dict[str, Any] = {"found": None, "others": [], "root": None, "rows": [], "left": 0, "counts": {}}
        if before and after:
            found = await compare(traces, principal, before, after, "console")
            wanted = _wanted(found.pairs, everything=bool(query.get("all")))
            context |= {
                "found": found,
                "roots": [_sums(tree) for tree in found.trees],
                "rows": [_row(pair) for pair in wanted[:MOST_ROWS]],
                "left": len(found.pairs) - len(wanted[:MOST_ROWS]),
                "counts": Counter(pair.kind for pair in found.pairs),
            }
        elif before:
            own = plant((await traces.spans(principal, before))[0], time.time_ns()).roots[0].span
            context |= {"root": own, "others": await _others(traces, principal, own)}
        return ports.get(Console).page(
            request,
            "observability/traces/diff.html",
            title="Compare traces",
            crumbs=(("Traces", "/console/traces"),),
            on=traces.on,
            before=before,
            after=after,
            may=traces.access.may(principal),
            scope=traces.access.scope.value,
            everything=bool(query.get("all")),
            name=names(ports),
            **context,
        )

    return (Page(path="/console/traces/diff", handler=diff),)


async def _others(traces: Traces, reader: Principal, own: Span) -> list[dict[str, Any]]:
    """The last traces that begin with a span of the same name."""
    same = Filter(organisation=own.organisation or reader.reach, equal={"name": (own.name,), "kind": (own.kind,)}, roots=True)
    page = await traces.page(same, limit=OTHERS + 1)
    spans = [span for span in page.spans if span.trace_id != own.trace_id][:OTHERS]
    return [{**listed(span), "href": f"/console/traces/diff?a={own.trace_id}&b={span.trace_id}"} for span in spans]


def _wanted(pairs: Sequence[Pair], *, everything: bool) -> list[Pair]:
    """What changed, and what holds it."""
    if everything:
        return list(pairs)
    wanted: list[Pair] = []
    need = -1
    for pair in reversed(pairs):
        if pair.kind != "same" or pair.depth < need:
            wanted.append(pair)
            need = pair.depth
        elif pair.depth == 0:
            need = -1
    return wanted[::-1]


def _row(pair: Pair) -> dict[str, Any]:
    span = pair.after or pair.before
    assert span is not None
    return {
        "pair": pair,
        "name": _name(pair),
        "indent": min(pair.depth, 14),
        "href": f"/console/traces/{span.trace_id}/spans/{span.span_id}",
        "changes": [
            {"label": LABELS.get(one.field, one.field), "field": one.field, "a": one.before, "b": one.after} for one in pair.changes
        ],
        "took": [(one.end_ns - one.start_ns) / 1e6 if one is not None else None for one in (pair.before, pair.after)],
    }


def _sums(tree: Tree) -> dict[str, Any]:
    spans = [node.span for node in tree.order]
    costs = [span.cost_micros for span in spans if span.cost_micros is not None]
    return {
        "span": tree.roots[0].span,
        "spans": len(spans),
        "failed": sum(span.status == "failed" for span in spans),
        "took": (tree.end_ns - tree.start_ns) / 1e6,
        "input": sum(span.input_tokens or 0 for span in spans),
        "output": sum(span.output_tokens or 0 for span in spans),
        "cost": sum(costs) if costs else None,
    }


def _name(pair: Pair) -> str:
    span = pair.before or pair.after
    return (span.name or span.kind) if span is not None else ""
