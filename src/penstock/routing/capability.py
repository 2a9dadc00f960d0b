"""The offer of routing: a stage that chooses by evidence, and what certifies, watches and shows it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kernel.capability import House, Offer
from penstock.routing.settings import RoutingSettings


class Routing:
    """The cheapest approved model whose evidence meets the task's floor; the task's default while there is none."""

    name: ClassVar[str] = "routing"
    settings: ClassVar[type[msgspec.Struct] | None] = RoutingSettings
    migrations: ClassVar[str | None] = "penstock.routing.migrations"
    commands: ClassVar[str | None] = "penstock.routing.commands:app"
    templates: ClassVar[str | None] = "penstock.routing"

    def open(self, house: House) -> Offer:
        """Build the parts; policies are read when the service starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.routing.wiring import wire

        return wire(house)
