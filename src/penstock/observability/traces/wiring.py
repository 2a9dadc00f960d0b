"""How the parts of the Traces pages are put together."""

from __future__ import annotations

from collections.abc import Callable

from penstock.kernel.capability import House, Offer
from penstock.kernel.recall import Embedder
from penstock.kernel.web import NavItem
from penstock.observability.access.service import PayloadAccess
from penstock.observability.traces import pages, thread_pages
from penstock.observability.traces.annotations import Annotations
from penstock.observability.traces.export import export_routes
from penstock.observability.traces.routes import trace_routes
from penstock.observability.traces.service import Traces
from penstock.observability.traces.similar import Likeness
from penstock.observability.traces.thread_routes import thread_routes
from penstock.observability.traces.threads import Conversations
from penstock.storage.records import Records
from penstock.storage.telemetry.store import TelemetryStore


def trace_pages(house: House, redacted: Callable[[str], str], access: PayloadAccess) -> Offer:
    """Traces and conversations; ``redacted`` is what becomes of words that people write about them."""
    ports = house.ports
    annotations = Annotations(ports.get(Records), redacted)
    told = Traces(lambda: ports.find(TelemetryStore), annotations.traces, access)
    conversations = Conversations(told)
    likeness = Likeness(told, lambda: ports.find(Embedder))
    return Offer(
        # The export before the traces, since it is none.
        routes=(*export_routes(told, house.data_dir), *trace_routes(told, likeness), *thread_routes(conversations)),
        pages=(*pages.trace_pages(ports, told, likeness), *thread_pages.thread_pages(ports, told, conversations)),
        nav=(
            NavItem("Traces", "/console/traces", "traces", "Observe", 22, "w"),
            NavItem("Conversations", "/console/threads", "threads", "Observe", 24, "u"),
        ),
    )
