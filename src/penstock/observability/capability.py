"""The offer of observability: the record of every call, and what shows it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kernel.capability import House, Offer
from penstock.observability.settings import ObservabilitySettings


class Observability:
    """What happened: recorded, shown, measured, sent on."""

    name: ClassVar[str] = "observability"
    settings: ClassVar[type[msgspec.Struct] | None] = ObservabilitySettings
    migrations: ClassVar[str | None] = "penstock.observability.migrations"
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = "penstock.observability"

    def open(self, house: House) -> Offer:
        """Build the parts; the recorder begins with its service."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.observability.wiring import wire

        return wire(house)
