"""Samples on their way to a reader: with what was said, or without."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.kernel.opening import Opening
from penstock.kernel.principal import Principal
from penstock.quality.samples import Kept


async def shown_to(opening: Opening, reader: Principal, found: Sequence[Kept]) -> list[Kept]:
    """Samples as this reader may see them: without texts, or with them and a line on each organisation's trail."""
    if not opening.may(reader):
        return [msgspec.structs.replace(one, prompt="", context="", answer="", tools="", reason="") for one in found]
    for whose in sorted({one.organisation for one in found}):
        await opening.opened(reader, "samples", whose, "api")
    return list(found)
