"""What people said and were told, on its way to a reader: who may see it, and the trail of who did, by the record's own rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from penstock.kernel.evidence import CallRecords, Via
from penstock.kernel.principal import Principal
from penstock.quality.samples import Kept


class Opening:
    """Asks the record; without one there are no rules."""

    def __init__(self, calls: Callable[[], CallRecords | None]) -> None:
        self._calls = calls

    def may(self, reader: Principal) -> bool:
        """Whether this reader may see texts of live traffic."""
        calls = self._calls()
        return calls is None or calls.may_open(reader)

    async def note(self, reader: Principal, what: str, organisation: str, via: Via) -> None:
        """Before texts are shown. Raises `Forbidden` for who may not see them, and `StorageError` where no line can be written."""
        calls = self._calls()
        if calls is not None:
            await calls.opened(reader, what, organisation, via)

    async def listed(self, reader: Principal, found: Sequence[Kept]) -> list[Kept]:
        """Samples as this reader may see them: without texts, or with them and a line on each organisation's trail."""
        if not self.may(reader):
            return [msgspec.structs.replace(one, prompt="", context="", answer="", tools="", reason="") for one in found]
        for whose in sorted({one.organisation for one in found}):
            await self.note(reader, "samples", whose, "api")
        return list(found)
