"""How the parts of the Traces pages are put together."""

from __future__ import annotations

from collections.abc import Callable

from penstock.kernel.capability import House, Offer
from penstock.kernel.recall import Embedder
from penstock.kernel.web import NavItem
from penstock.observability.live import Live
from penstock.observability.otlp.intake import Intake
from penstock.observability.traces import pages, thread_pages
from penstock.observability.traces.annotation_pages import annotation_pages, annotation_routes
from penstock.observability.traces.annotations import Annotations
from penstock.observability.traces.diff_pages import diff_pages, diff_routes
from penstock.observability.traces.export import export_routes
from penstock.observability.traces.intake_pages import intake_pages
from penstock.observability.traces.live_pages import live_pages
from penstock.observability.traces.routes import trace_routes
from penstock.observability.traces.service import Traces
from penstock.observability.traces.similar import Likeness
from penstock.observability.traces.thread_routes import thread_routes
from penstock.observability.traces.threads import Conversations
from penstock.storage.records import Records
from penstock.storage.telemetry.store import TelemetryStore


def trace_pages(house: House, arrivals: Live, intake: Intake, redacted: Callable[[str], str]) -> Offer:
    """Traces, conversations, what people say of them, the tail and the intake.

    ``arrivals`` tells who looks that spans have come; ``redacted`` is what becomes of words that people write about traces.
    """
    ports = house.ports
    annotations = Annotations(ports.get(Records), redacted)
    told = Traces(lambda: ports.find(TelemetryStore), annotations.traces)
    conversations = Conversations(told)
    likeness = Likeness(told, lambda: ports.find(Embedder))
    return Offer(
        # The export before the traces, since it is none; and so for pages.
        routes=(
            *export_routes(told, house.data_dir),
            *trace_routes(told, likeness),
            *thread_routes(conversations),
            *diff_routes(told),
            *annotation_routes(told, annotations),
        ),
        pages=(
            *diff_pages(ports, told),
            *pages.trace_pages(ports, told, likeness, annotations),
            *thread_pages.thread_pages(ports, told, conversations),
            *annotation_pages(told, annotations),
            *live_pages(ports, told, arrivals),
            *intake_pages(ports, told, intake),
        ),
        nav=(
            NavItem("Traces", "/console/traces", "traces", "Observe", 22, "w"),
            NavItem("Conversations", "/console/threads", "threads", "Observe", 24, "u"),
            NavItem("Live", "/console/live/spans", "live", "Observe", 26, "z"),
            NavItem("Intake", "/console/intake", "inbox", "Observe", 60, "i"),
        ),
        drains=(arrivals,),
    )
