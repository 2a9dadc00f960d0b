"""The offer of finops: prices, the ledger, budgets."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.finops.settings import FinopsSettings
from penstock.kernel.capability import House, Offer


class Finops:
    """What it cost, and the limits that hold before it is spent."""

    name: ClassVar[str] = "finops"
    settings: ClassVar[type[msgspec.Struct] | None] = FinopsSettings
    migrations: ClassVar[str | None] = "penstock.finops.migrations"
    commands: ClassVar[str | None] = "penstock.finops.commands:app"
    templates: ClassVar[str | None] = "penstock.finops"

    def open(self, house: House) -> Offer:
        """Build the parts; the ledger's spool is made when the service starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.finops.wiring import wire

        return wire(house)
