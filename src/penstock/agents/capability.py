"""The offer of the agents."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.agents.settings import AgentSettings
from penstock.kernel.capability import House, Offer


class AgentsRoom:
    """Durable work of models and tools."""

    name: ClassVar[str] = "agents"
    settings: ClassVar[type[msgspec.Struct] | None] = AgentSettings
    migrations: ClassVar[str | None] = "penstock.agents.migrations"
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = "penstock.agents"

    def open(self, house: House) -> Offer:
        """Build the parts; what the settings name is imported when the house starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.agents.wiring import wire

        return wire(house)
