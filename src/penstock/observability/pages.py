"""Observability in the console: the overview, the list of calls, one call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import msgspec

from penstock.console import Console
from penstock.kernel.errors import Forbidden, MalformedRequest
from penstock.kernel.ports import Directory, MetricSources, Peers, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.recall import Prices
from penstock.kernel.web import Page
from penstock.observability.access.service import PayloadAccess
from penstock.observability.live import Live
from penstock.observability.metrics import Exposition, media_of
from penstock.observability.service import CallFilter, CallRow, Group, Payload, Questions
from penstock.observability.why import explain
from penstock.storage.telemetry.store import TelemetryStore

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

RANGES = {"3600": "Last hour", "21600": "Last 6 hours", "86400": "Last day", "604800": "Last 7 days", "2592000": "Last 30 days"}
GROUPS = {"model": "Model", "task": "Task", "team": "Team", "key": "Key", "provider": "Provider"}
OUTCOMES = (("", "Any outcome"), ("ok", "Answered"), ("refused", "Refused"), ("failed", "Failed"), ("cancelled", "Cancelled"))
PER_PAGE = 50
OPENED = 20
"""Lines of the trail on a call's page."""
LOST = {
    "queue_full": "are not on the record: as many waited to be stored as observability.queue_calls allows",
    "payload_bytes": "are on the record without prompt and reply: as many bytes waited to be stored as observability.queue_bytes allows",
    "unwritable": "are not on the record: they could not be written down; the log says why",
}
"""What became of calls by the reason for which the recorder dropped something."""


def pages(
    ports: Ports,
    questions: Questions,
    exposition: Exposition,
    live: Live,
    drops: Mapping[str, int],
    access: PayloadAccess,
    *,
    metrics_open: bool,
) -> Sequence[Page]:
    """Overview, Calls, one call, the stream behind live pages, and ``/metrics``. ``drops`` is the recorder's own count."""

    def console() -> Console:
        return ports.get(Console)

    def name(kind: str, id: str | None) -> str:
        directory = ports.find(Directory)
        if not id:
            return f"no {kind}"
        return directory.name(id) if directory is not None and kind in ("team", "key", "project") else id

    def lost(principal: Principal) -> list[str]:
        # A count of the whole installation is for whoever runs it.
        return [f"{count:,} calls {LOST[reason]}." for reason, count in sorted(drops.items())] if principal.home else []

    async def overview(request: Request, principal: Principal) -> Response:
        seconds, group = request.query_params.get("seconds", "3600"), request.query_params.get("group", "model")
        if seconds not in RANGES or group not in GROUPS:
            raise MalformedRequest("seconds or group is not one of the choices")
        found = await questions.overview(principal, int(seconds), cast("Group", group))
        latest = await questions.calls(principal, CallFilter(), None, 8)
        times = [b.at for b in found.buckets]
        charts: dict[str, Any] = {
            "latency": {
                "x": times,
                "series": [
                    {"label": "p50", "values": [b.p50 for b in found.buckets]},
                    {"label": "p95", "values": [b.p95 for b in found.buckets]},
                    {"label": "p99", "values": [b.p99 for b in found.buckets]},
                ],
            },
            "calls": {
                "x": times,
                "series": [
                    {"label": "Calls", "values": [b.calls for b in found.buckets]},
                    {"label": "Errors", "values": [b.errors for b in found.buckets]},
                ],
            },
        }
        groups = [{"name": name(group, s.group), "share": s} for s in found.groups]
        return console().page(
            request,
            "observability/overview.html",
            title="Overview",
            found=found,
            charts=charts,
            lost=lost(principal),
            groups=groups,
            rows=[_shown(c) for c in latest.data],
            seconds=seconds,
            api=f"/v1/overview?seconds={seconds}&group={group}",
            group=group,
            ranges=RANGES,
            group_names=GROUPS,
        )

    async def calls(request: Request, principal: Principal) -> Response:
        query = request.query_params
        given = {k: v for k, v in query.items() if v and k in ("task", "model", "provider", "team", "key", "outcome", "error", "trace")}
        try:
            wanted = msgspec.convert(given, CallFilter)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"filter: {fault}") from fault
        if query.get("hours"):
            try:
                wanted = msgspec.structs.replace(wanted, since=time.time() - float(query["hours"]) * 3600)
            except ValueError as fault:
                raise MalformedRequest("hours is a number", param="hours") from fault
        page = await questions.calls(principal, wanted, query.get("cursor") or None, PER_PAGE)
        kept = {**given, **({"hours": query["hours"]} if query.get("hours") else {})}
        return console().page(
            request,
            "observability/calls.html",
            title="Calls",
            rows=[_shown(c) for c in page.data],
            given=given,
            lost=lost(principal),
            outcomes=OUTCOMES,
            live=not query.get("cursor"),
            older=f"/console/calls?{urlencode({**kept, 'cursor': page.next_cursor})}" if page.next_cursor else "",
        )

    async def call(request: Request, principal: Principal) -> Response:
        found = await questions.call(principal, request.path_params["id"])
        may = access.may(principal)
        payload = await questions.payload(principal, found.id) if may else Payload()
        if payload.kept:
            await access.note(principal, "opened", "call", found.id, found.organisation, "console")
        whose = found.organisation or principal.organisation
        opened = await access.lines(whose, found.id, None, OPENED) if principal.may(Scope.ADMIN) else ()
        owners = [("Organisation", found.organisation), ("Team", found.team), ("Project", found.project), ("Key", found.key_id)]
        directory = ports.find(Directory)
        return console().page(
            request,
            "observability/call.html",
            title="Call",
            crumbs=(("Calls", "/console/calls"),),
            call=found,
            payload=payload,
            may=may,
            scope=access.scope.value,
            opened=opened,
            owners=[(label, directory.name(id) if directory is not None else id) for label, id in owners if id],
            bars=_bars(found),
            spans_kept=ports.find(TelemetryStore) is not None,
            measures=_measures(found.measures),
            why=explain(found, ports.find(Prices)) if found.choice is not None else None,
        )

    async def watch(request: Request, principal: Principal) -> Response:
        from starlette.responses import StreamingResponse

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(live.watch(principal), headers=headers, media_type="text/event-stream")

    async def metrics(request: Request, principal: Principal) -> Response:
        if not metrics_open and not principal.home:
            raise Forbidden("measures are of the whole installation; only keys of the organisation that runs it may read them")
        from starlette.responses import Response

        media = media_of(request.headers.get("accept", ""))
        page = await exposition.whole(ports.get(MetricSources), ports.find(Peers), media)
        return Response(page, media_type=media, headers={"vary": "accept"})

    return (
        Page(path="/console/", handler=overview),
        Page(path="/console/calls", handler=calls),
        Page(path="/console/calls/{id}", handler=call),
        Page(path="/console/live", handler=watch),
        Page(path="/metrics", handler=metrics, scope=None if metrics_open else Scope.READ),
    )


def _shown(call: CallRow) -> dict[str, Any]:
    return {"call": call, "href": f"/console/calls/{call.id}", "at": call.started_at / 1000}


def _measures(used: Mapping[str, int]) -> list[str]:
    """What was used beside tokens, in words."""
    said: list[str] = []
    for name, count in used.items():
        if name == "audio_ms":
            said.append(f"{count / 1000:,.1f} s of sound")
        else:
            word = {"images": "image", "characters": "character", "searches": "search unit"}[name]
            said.append(f"{count:,} {word}" + ("s" if count != 1 else ""))
    return said


def _bars(call: CallRow) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = [{"label": "call", "start": 0.0, "duration": call.total_ms, "kind": "stage", "note": call.outcome}]
    for stage in call.stages:
        bars.append({"label": stage.name, "start": stage.started_ms, "duration": stage.took_ms, "kind": "stage", "note": "", "depth": 1})
    number = 0
    for attempt in call.attempts:
        where = f"{attempt.provider}/{attempt.model}"
        if attempt.skipped is not None:
            passed = {"label": f"passed over: {where}", "start": attempt.started_ms, "duration": 0.0, "kind": "queue", "depth": 2}
            bars.append({**passed, "note": "", "detail": attempt.message or attempt.skipped})
            continue
        number += 1
        end = attempt.ended_ms if attempt.ended_ms is not None else call.total_ms
        note = attempt.error or (str(attempt.status) if attempt.status is not None else "")
        took = max(0.0, end - attempt.started_ms)
        bar: dict[str, Any] = {
            "label": f"{'hedge' if attempt.hedge else 'attempt'} {number}: {where}",
            "start": attempt.started_ms,
            "duration": took,
            "kind": "failed" if attempt.error else "attempt",
            "note": note,
            "depth": 2,
        }
        first = attempt.first_token_ms
        if first is not None and not attempt.error:
            waited = max(0.0, first - attempt.started_ms)
            bar["segments"] = [
                {"kind": "wait", "start": attempt.started_ms, "duration": waited, "label": "until the first byte"},
                {"kind": "stream", "start": first, "duration": max(0.0, took - waited), "label": "reply"},
            ]
        bars.append(bar)
    return bars
