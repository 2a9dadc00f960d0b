"""The offer of identity: who is calling, and what they may do."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.identity.settings import IdentitySettings
from penstock.kernel.capability import House, Offer


class Identity:
    """Organisations, teams, projects, people, keys, and signing in."""

    name: ClassVar[str] = "identity"
    settings: ClassVar[type[msgspec.Struct] | None] = IdentitySettings
    migrations: ClassVar[str | None] = "penstock.identity.migrations"
    commands: ClassVar[str | None] = "penstock.identity.commands:app"
    templates: ClassVar[str | None] = "penstock.identity"

    def open(self, house: House) -> Offer:
        """Build the parts; keys are read when the service starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.identity.wiring import wire

        return wire(house)
