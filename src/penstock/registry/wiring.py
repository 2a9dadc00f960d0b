"""How the parts of the registry are put together."""

from __future__ import annotations

from pathlib import Path

from penstock.kernel.approvals import Approvals, VersionEvaluations
from penstock.kernel.candidates import Registered
from penstock.kernel.capability import House, Offer
from penstock.kernel.web import NavItem
from penstock.kernel.weights import WeightScan
from penstock.registry.marks import VersionMarks
from penstock.registry.pages import pages
from penstock.registry.permits import Permits
from penstock.registry.prompts.pages import pages as prompt_pages
from penstock.registry.prompts.routes import routes as prompt_routes
from penstock.registry.prompts.service import Prompts
from penstock.registry.prompts.shelf import Shelf
from penstock.registry.prompts.stage import ExpandPrompt
from penstock.registry.refresh import Refresh
from penstock.registry.routes import routes
from penstock.registry.service import Registry
from penstock.registry.settings import RegistrySettings
from penstock.registry.stage import Approve
from penstock.registry.standing import Standing
from penstock.registry.task_check import TaskApprovals
from penstock.registry.weights import FolderScan, Weights
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the registry inside ``house``."""
    settings = house.settings(RegistrySettings)
    records = house.ports.get(Records)
    standing = Standing(settings.default)
    shelf = Shelf(records)
    permits = Permits(standing, house.ports)
    refresh = Refresh(records, standing, shelf, settings.refresh_seconds, house.events)
    prompts = Prompts(records, refresh.now, two_people=settings.default == "approved")
    folder = Path(settings.weights) if settings.weights else house.data_dir / "models"
    registry = Registry(records, Weights(folder, [Path(key) for key in settings.trusted_keys]), refresh.now, moved=house.events.publish)
    return Offer(
        stages=(ExpandPrompt(shelf), Approve(permits)),
        routes=(*routes(registry), *prompt_routes(prompts)),
        pages=(*pages(house.ports, registry), *prompt_pages(house.ports, prompts)),
        nav=(
            NavItem("Models", "/console/models", "models", "Govern", 20, "m"),
            NavItem("Prompts", "/console/prompts", "spark", "Build", 25),
        ),
        services=(refresh, permits),
        metrics=(refresh, permits),
        marks=(VersionMarks(records),),
        task_checks=(TaskApprovals(standing, permits, house.ports),),
        ports={Approvals: permits, Registered: standing, VersionEvaluations: registry, WeightScan: FolderScan()},
    )
