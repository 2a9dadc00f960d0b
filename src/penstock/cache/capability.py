"""The offer of the cache: a stage that answers from memory, and what shows what that saved."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.cache.settings import CacheSettings
from penstock.kernel.capability import House, Offer


class Cache:
    """Answers from what was answered before; off until a rule or a caller asks for it."""

    name: ClassVar[str] = "cache"
    settings: ClassVar[type[msgspec.Struct] | None] = CacheSettings
    migrations: ClassVar[str | None] = "penstock.cache.migrations"
    commands: ClassVar[str | None] = "penstock.cache.commands:app"
    templates: ClassVar[str | None] = "penstock.cache"

    def open(self, house: House) -> Offer:
        """Build the parts; entries are read when the service starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.cache.wiring import wire

        return wire(house)
