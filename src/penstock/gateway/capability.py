"""The gateway's offer: endpoints in the shapes that clients speak, and the stages that admit, choose and send."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.gateway.settings import GatewaySettings
from penstock.kernel.capability import House, Offer


class Gateway:
    """HTTP in, providers out, and the line between them."""

    name: ClassVar[str] = "gateway"
    settings: ClassVar[type[msgspec.Struct] | None] = GatewaySettings
    migrations: ClassVar[str | None] = None
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = "penstock.gateway"

    def open(self, house: House) -> Offer:
        """Build providers, stages and endpoints; nothing is sent or listened to yet."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.gateway.wiring import wire

        return wire(house)
