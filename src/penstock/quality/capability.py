"""The offer of quality."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kernel.capability import House, Offer
from penstock.quality.settings import QualitySettings


class Quality:
    """How good answers are: datasets, evaluations, judges, samples of live traffic."""

    name: ClassVar[str] = "quality"
    settings: ClassVar[type[msgspec.Struct] | None] = QualitySettings
    migrations: ClassVar[str | None] = "penstock.quality.migrations"
    commands: ClassVar[str | None] = "penstock.quality.commands:app"
    templates: ClassVar[str | None] = "penstock.quality"

    def open(self, house: House) -> Offer:
        """Build the parts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.quality.wiring import wire

        return wire(house)
