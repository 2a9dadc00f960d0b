"""How the parts of the registry are put together."""

from __future__ import annotations

from pathlib import Path

from penstock.kernel.approvals import Approvals
from penstock.kernel.candidates import Registered
from penstock.kernel.capability import House, Offer
from penstock.kernel.web import NavItem
from penstock.registry.pages import pages
from penstock.registry.refresh import Refresh
from penstock.registry.routes import routes
from penstock.registry.service import Registry
from penstock.registry.settings import RegistrySettings
from penstock.registry.stage import Approve
from penstock.registry.standing import Standing
from penstock.registry.weights import Weights
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the registry inside ``house``."""
    settings = house.settings(RegistrySettings)
    records = house.ports.get(Records)
    standing = Standing(settings.default)
    refresh = Refresh(records, standing, settings.refresh_seconds)
    folder = Path(settings.weights) if settings.weights else house.data_dir / "models"
    registry = Registry(records, Weights(folder, [Path(key) for key in settings.trusted_keys]), refresh.now)
    return Offer(
        stages=(Approve(standing),),
        routes=routes(registry),
        pages=pages(house.ports, registry),
        nav=(NavItem("Models", "/console/models", "models", "Govern", 20, "m"),),
        services=(refresh,),
        metrics=(refresh,),
        ports={Approvals: standing, Registered: standing},
    )
