"""The offer of the stored responses."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kernel.capability import House, Offer
from penstock.responses.settings import ResponsesSettings


class ResponsesRoom:
    """State for ``/v1/responses``: a station of the line, and routes for what is kept."""

    name: ClassVar[str] = "responses"
    settings: ClassVar[type[msgspec.Struct] | None] = ResponsesSettings
    migrations: ClassVar[str | None] = "penstock.responses.migrations"
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def open(self, house: House) -> Offer:
        """Build the parts; nothing is read or written yet."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.responses.wiring import wire

        return wire(house)
