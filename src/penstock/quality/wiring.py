"""How the parts of quality are put together."""

from __future__ import annotations

from penstock.kernel.capability import House, Offer
from penstock.kernel.events import CallEnded
from penstock.kernel.evidence import Evidence
from penstock.kernel.web import NavItem
from penstock.quality import exchange_routes, live_routes, overview, overview_pages
from penstock.quality.drift import pages as drift_pages
from penstock.quality.drift import routes as drift_routes
from penstock.quality.drift.measured import DriftMeasured
from penstock.quality.life import QualityLife
from penstock.quality.limits import routes as limit_routes
from penstock.quality.limits.readiness import GroundednessChecks
from penstock.quality.measured import Measured
from penstock.quality.pages import pages
from penstock.quality.routes import routes
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build quality inside ``house``."""
    life = QualityLife(house)
    house.events.subscribe(CallEnded, life.sampling.heard)
    grounded = GroundednessChecks(life.settings, life.detectors, life.calibrations)
    return Offer(
        routes=(
            *routes(life.datasets, life.evaluations),
            *exchange_routes.routes(life.exchange),
            *live_routes.routes(life.told, life.judges, life.runs, house.ports.get(Records), lambda: life.sampling, life.opening),
            *limit_routes.routes(life.calibrations),
            *overview.routes(house.ports.get(Records), life.replies),
            *drift_routes.routes(life.drift, house.ports.get(Records), life.settings.drift_calls, life.opening),
        ),
        pages=(
            *pages(house.ports, life),
            *overview_pages.pages(house.ports, life),
            *drift_pages.pages(house.ports, life.drift, life.settings.drift_calls, life.opening),
        ),
        nav=(
            NavItem("Evaluations", "/console/evaluations", "check", "Govern", 7, "e"),
            NavItem("Quality", "/console/quality", "check", "Observe", 25, "q"),
            NavItem("Drift", "/console/drift", "spark", "Observe", 26, "d"),
        ),
        task_panels=(*overview_pages.PANELS, *drift_pages.PANELS),
        services=(life,),
        checks=(grounded.house,),
        task_checks=(grounded.task,),
        metrics=(life,),
        measures=(Measured(house.ports.get(Records)), DriftMeasured(life.drift)),
        marks=(life.drift,),
        ports={Evidence: life.evidence},
    )
