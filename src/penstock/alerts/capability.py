"""The offer of the alerts: rules on measures, what they fire, and events for other programs."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.alerts.settings import AlertSettings
from penstock.kernel.capability import House, Offer


class Alerts:
    """Rules on any measure, alerts that survive a crash, and routes that tell of each once."""

    name: ClassVar[str] = "alerts"
    settings: ClassVar[type[msgspec.Struct] | None] = AlertSettings
    migrations: ClassVar[str | None] = "penstock.alerts.migrations"
    commands: ClassVar[str | None] = "penstock.alerts.commands:app"
    templates: ClassVar[str | None] = "penstock.alerts"

    def open(self, house: House) -> Offer:
        """Build the parts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.alerts.wiring import wire

        return wire(house)
