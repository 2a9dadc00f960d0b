"""The offer of the batches."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.batches.settings import BatchSettings
from penstock.kernel.capability import House, Offer


class Batches:
    """Files of calls, OpenAI- and Anthropic-shaped, made as durable runs while there is room."""

    name: ClassVar[str] = "batches"
    settings: ClassVar[type[msgspec.Struct] | None] = BatchSettings
    migrations: ClassVar[str | None] = "penstock.batches.migrations"
    commands: ClassVar[str | None] = "penstock.batches.commands:app"
    templates: ClassVar[str | None] = "penstock.batches"

    def open(self, house: House) -> Offer:
        """Build the parts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.batches.wiring import wire

        return wire(house)
