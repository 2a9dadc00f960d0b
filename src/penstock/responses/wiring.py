"""How the parts of the room are put together."""

from __future__ import annotations

from penstock.kernel.capability import House, Offer
from penstock.kernel.vendor import VendorDoor
from penstock.responses.endpoints import endpoints
from penstock.responses.life import ResponsesLife
from penstock.responses.pending import Pending
from penstock.responses.service import ResponseService
from penstock.responses.settings import ResponsesSettings
from penstock.responses.stage import Remember
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the room inside ``house``."""
    settings = house.settings(ResponsesSettings)
    records = house.ports.get(Records)
    pending = Pending(records, house.data_dir / "responses-spool", settings.drain_seconds)
    service = ResponseService(records, pending, settings)
    stage = Remember(service)
    door = VendorDoor("req")
    life = ResponsesLife(house.ports, door, service, pending, stage)
    return Offer(stages=(stage,), endpoints=endpoints(door, service), services=(life,), checks=(life.check,), metrics=(life,))
