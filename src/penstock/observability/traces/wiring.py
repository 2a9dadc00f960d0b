"""How the parts of traces are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from penstock.kernel.ports import Ports
from penstock.kernel.recall import Embedder
from penstock.kernel.web import NavItem, Page, Route
from penstock.observability.live import Live
from penstock.observability.otlp.intake import Intake
from penstock.observability.traces.annotation_pages import annotation_pages, annotation_routes
from penstock.observability.traces.annotations import Annotations
from penstock.observability.traces.diff_pages import diff_pages, diff_routes
from penstock.observability.traces.intake_pages import intake_pages
from penstock.observability.traces.live_pages import live_pages
from penstock.observability.traces.pages import trace_pages
from penstock.observability.traces.routes import trace_routes
from penstock.observability.traces.service import Traces
from penstock.observability.traces.similar import Likeness
from penstock.observability.traces.thread_pages import thread_pages
from penstock.observability.traces.thread_routes import thread_routes
from penstock.observability.traces.threads import Conversations
from penstock.storage.records import Records
from penstock.storage.telemetry.store import TelemetryStore


class Shown(msgspec.Struct, frozen=True):
    """What traces offer."""

    routes: Sequence[Route]
    pages: Sequence[Page]
    nav: Sequence[NavItem]


def trace_parts(ports: Ports, records: Records, arrivals: Live, intake: Intake, clean: Callable[[str], str]) -> Shown:
    """Build them. ``clean`` is how texts of people may be kept."""
    annotations = Annotations(records, clean)
    traces = Traces(lambda: ports.find(TelemetryStore), annotations.traces)
    conversations = Conversations(traces)
    likeness = Likeness(traces, lambda: ports.find(Embedder))
    return Shown(
        routes=(
            *trace_routes(traces, likeness),
            *thread_routes(conversations),
            *diff_routes(traces),
            *annotation_routes(traces, annotations),
        ),
        pages=(
            *diff_pages(ports, traces),
            *trace_pages(ports, traces, likeness, annotations),
            *thread_pages(ports, traces, conversations),
            *annotation_pages(traces, annotations),
            *live_pages(ports, traces, arrivals),
            *intake_pages(ports, traces, intake),
        ),
        nav=(
            NavItem("Traces", "/console/traces", "traces", "Observe", 22, "w"),
            NavItem("Intake", "/console/intake", "inbox", "Observe", 60, "i"),
            NavItem("Live", "/console/live/spans", "live", "Observe", 26, "z"),
            NavItem("Conversations", "/console/threads", "threads", "Observe", 24, "u"),
        ),
    )
