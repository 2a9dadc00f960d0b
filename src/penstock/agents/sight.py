"""Who may see what a run of an agent was told, said and did: whoever's key started it, and those who may open prompts and replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.kernel.journal import Journal, RunInfo
from penstock.kernel.opening import Opening
from penstock.kernel.principal import Principal


class Sight:
    """By the rules of ``opening``, but for one's own runs."""

    def __init__(self, journal: Callable[[], Journal], opening: Opening) -> None:
        self._journal = journal
        self._opening = opening

    async def may(self, reader: Principal, run: RunInfo) -> bool:
        """Whether this reader may; where it is somebody else's run that leaves a line on the trail, written before anything is shown."""
        if await self._own(reader, run):
            return True
        if not self._opening.may(reader):
            return False
        await self._opening.opened_run(reader, run, "api")
        return True

    async def require(self, reader: Principal, run: RunInfo) -> None:
        """The same; raises `Forbidden` for a reader who may not."""
        if not await self._own(reader, run):
            await self._opening.opened_run(reader, run, "api")

    async def _own(self, reader: Principal, run: RunInfo) -> bool:
        given: Any = await self._journal().given(reader.reach, run.id)
        return bool(reader.key_id) and isinstance(given, dict) and given.get("key") == reader.key_id  # type: ignore[reportUnknownMemberType]
