"""How the parts of the Health page and of saved views are put together."""

from __future__ import annotations

from penstock.kernel.capability import House, Offer
from penstock.kernel.web import NavItem
from penstock.observability.health.marks import ReleaseMarks
from penstock.observability.health.measured import SpanMeasures
from penstock.observability.health.pages import health_pages
from penstock.observability.health.routes import health_routes
from penstock.observability.views.kept import Views
from penstock.observability.views.routes import view_pages, view_routes
from penstock.storage.records import Records
from penstock.storage.telemetry.store import TelemetryStore


def health(house: House) -> Offer:
    """Measures of spans, what shows them, and views that people keep of it."""
    ports = house.ports
    views = Views(ports.get(Records))
    return Offer(
        routes=(*health_routes(ports), *view_routes(views)),
        pages=(*health_pages(ports), *view_pages(ports, views)),
        nav=(NavItem("Health", "/console/health", "health", "Observe", 15, "y"),),
        marks=(ReleaseMarks(lambda: ports.find(TelemetryStore)),),
        measures=(SpanMeasures(lambda: ports.find(TelemetryStore)),),
    )
