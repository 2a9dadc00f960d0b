"""The offer of the other protocols."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.interop.settings import InteropSettings
from penstock.kernel.capability import House, Offer


class InteropRoom:
    """Endpoints of MCP, A2A and AG-UI."""

    name: ClassVar[str] = "interop"
    settings: ClassVar[type[msgspec.Struct] | None] = InteropSettings
    migrations: ClassVar[str | None] = "penstock.interop.migrations"
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def open(self, house: House) -> Offer:
        """Build the parts; nothing is read or written yet."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.interop.wiring import wire

        return wire(house)
