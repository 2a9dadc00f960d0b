"""The offer of the journal: durable runs."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.journal.settings import JournalSettings
from penstock.kernel.capability import House, Offer


class JournalRoom:
    """Runs that end whatever crashes; a port for the other rooms, routes and pages for people."""

    name: ClassVar[str] = "journal"
    settings: ClassVar[type[msgspec.Struct] | None] = JournalSettings
    migrations: ClassVar[str | None] = "penstock.journal.migrations"
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = "penstock.journal"

    def open(self, house: House) -> Offer:
        """Build the parts; DBOS is loaded when the first run is defined or asked for."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.journal.wiring import wire

        return wire(house)
