"""How the parts of the Traces pages are put together."""

from __future__ import annotations

from collections.abc import Callable

from penstock.kernel.capability import House, Offer
from penstock.kernel.recall import Embedder
from penstock.kernel.web import NavItem
from penstock.observability.access.service import PayloadAccess
from penstock.observability.live import Live
from penstock.observability.otlp.intake import Intake
from penstock.observability.traces.annotation_pages import annotation_pages, annotation_routes
from penstock.observability.traces.annotations import Annotations
from penstock.observability.traces.diff_pages import diff_pages, diff_routes
from penstock.observability.traces.export import export_routes
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


def trace_parts(house: House, arrivals: Live, intake: Intake, clean: Callable[[str], str], access: PayloadAccess) -> Offer:
    """Traces, conversations, what comes in now. ``clean`` is how texts of people may be kept."""
    ports = house.ports
    annotations = Annotations(ports.get(Records), clean)
    traces = Traces(lambda: ports.find(TelemetryStore), annotations.traces, access)
    conversations = Conversations(traces)
    likeness = Likeness(traces, lambda: ports.find(Embedder))
    return Offer(
        routes=(
            # The export before the traces, since it is none.
            *export_routes(traces, house.data_dir),
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
            NavItem("Traces", "/console/traces", "traces", "Observe", 22, "x"),
            NavItem("Intake", "/console/intake", "inbox", "Observe", 60, "i"),
            NavItem("Live", "/console/live/spans", "live", "Observe", 26, "z"),
            NavItem("Conversations", "/console/threads", "threads", "Observe", 24, "u"),
        ),
    )
