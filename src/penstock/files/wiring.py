"""How the parts of the room are put together."""

from __future__ import annotations

from penstock.files.endpoints import endpoints
from penstock.files.inline import InlineFiles
from penstock.files.life import FilesLife
from penstock.files.pages import pages
from penstock.files.service import FileService
from penstock.files.settings import FilesSettings
from penstock.kernel.capability import House, Offer
from penstock.kernel.ports import Files
from penstock.kernel.vendor import VendorDoor
from penstock.kernel.web import NavItem
from penstock.storage.blobs import Blobs
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the room inside ``house``."""
    settings = house.settings(FilesSettings)
    service = FileService(house.ports.get(Records), house.ports.get(Blobs), settings)
    door = VendorDoor("req")
    life = FilesLife(house.ports, door, service)
    return Offer(
        stages=(InlineFiles(service, settings.max_inline_bytes),),
        endpoints=endpoints(door, service),
        pages=pages(house.ports, service),
        nav=(NavItem("Files", "/console/files", "book", "Build", 30, "f"),),
        services=(life,),
        metrics=(life,),
        ports={Files: service},
    )
