"""How the parts of the room are put together."""

from __future__ import annotations

from penstock.files.endpoints import endpoints
from penstock.files.life import FilesLife
from penstock.files.service import FileService
from penstock.files.settings import FilesSettings
from penstock.kernel.capability import House, Offer
from penstock.kernel.ports import Files
from penstock.kernel.vendor import VendorDoor
from penstock.storage.blobs import Blobs
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the room inside ``house``."""
    service = FileService(house.ports.get(Records), house.ports.get(Blobs), house.settings(FilesSettings))
    door = VendorDoor("req")
    life = FilesLife(house.ports, door, service)
    return Offer(
        endpoints=endpoints(door, service),
        services=(life,),
        metrics=(life,),
        ports={Files: service},
    )
