"""Who may see what a run of an agent was told, said and did: whoever's key started it, and those who may open prompts and replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.kernel.evidence import CallRecords
from penstock.kernel.journal import Journal, RunInfo
from penstock.kernel.principal import Principal


class Sight:
    """``records`` finds who keeps the trail of who saw prompts and replies; a house without has no rule for them."""

    def __init__(self, journal: Callable[[], Journal], records: Callable[[], CallRecords | None]) -> None:
        self._journal = journal
        self._records = records

    async def may(self, reader: Principal, run: RunInfo) -> bool:
        """Whether this reader may; where it is somebody else's run that leaves a line on the trail, written before anything is shown."""
        records = self._records()
        if records is None or await self._own(reader, run):
            return True
        if not records.may_open(reader):
            return False
        await records.opened(reader, run.id, run.organisation, "api", "run")
        return True

    async def require(self, reader: Principal, run: RunInfo) -> None:
        """The same; raises `Forbidden` for a reader who may not."""
        records = self._records()
        if records is not None and not await self._own(reader, run):
            await records.opened(reader, run.id, run.organisation, "api", "run")

    async def _own(self, reader: Principal, run: RunInfo) -> bool:
        given: Any = await self._journal().given(reader.reach, run.id)
        return bool(reader.key_id) and isinstance(given, dict) and given.get("key") == reader.key_id  # type: ignore[reportUnknownMemberType]
