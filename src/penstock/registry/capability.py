"""The offer of the registry."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kernel.capability import House, Offer
from penstock.registry.settings import RegistrySettings


class RegistryRoom:
    """Which models may be used for what: versions, scans, signatures, approvals, and the station that refuses the rest."""

    name: ClassVar[str] = "registry"
    settings: ClassVar[type[msgspec.Struct] | None] = RegistrySettings
    migrations: ClassVar[str | None] = "penstock.registry.migrations"
    commands: ClassVar[str | None] = "penstock.registry.commands:app"
    templates: ClassVar[str | None] = "penstock.registry"

    def open(self, house: House) -> Offer:
        """Build the parts; the versions are read when the service starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.registry.wiring import wire

        return wire(house)
