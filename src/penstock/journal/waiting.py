"""Runs with what they wait for: the journal knows of times and signals, and the rooms whose runs they are of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import structs

from penstock.journal.service import JournalService
from penstock.journal.waits import Only
from penstock.kernel.journal import RunFilter, RunInfo, RunState
from penstock.kernel.waits import Wait, WaitKind, WaitTeller

Wanted = WaitKind | Literal["any"]
MOST = 5000
"""Runs that the rooms name for one question; of more, those that began to wait last."""


class Waits:
    """Runs with what they wait for. ``teller`` finds the room that knows of people and events; a house may have none."""

    def __init__(self, journal: JournalService, teller: Callable[[], WaitTeller | None]) -> None:
        self._journal = journal
        self._teller = teller

    async def list(self, reach: str | None, wanted: RunFilter, kind: Wanted | None = None) -> Sequence[RunInfo]:
        """As `Journal.list`; with a ``kind`` only those that wait for such a thing."""
        only: Only | None = None
        match kind:
            case "time":
                only = Only(sleeping=True)
            case "people" | "event":
                only = Only(of=await self._known(reach, kind))
            case "signal":
                only = Only(receiving=True, but=(*await self._known(reach, "people"), *await self._known(reach, "event")))
            case "any":
                only = Only(sleeping=True, receiving=True, of=await self._known(reach, "people"))
            case None:
                pass
        return await self.of(await self._journal.list(reach, wanted, only=only))

    async def of(self, runs: Sequence[RunInfo]) -> Sequence[RunInfo]:
        """The same runs, those that wait with what for."""
        ids = [run.id for run in runs if run.state is RunState.RUNNING]
        if not ids:
            return runs
        known = await self._journal.waits(ids)
        teller = self._teller()
        others: Mapping[str, Sequence[Wait]] = await teller.waits(ids) if teller is not None else {}
        return [structs.replace(run, waits=_together(known.get(run.id, ()), others.get(run.id, ()))) for run in runs]

    async def _known(self, reach: str | None, kind: Literal["people", "event"]) -> Sequence[str]:
        teller = self._teller()
        return () if teller is None else await teller.waiting(reach, kind, MOST)


def _together(known: Sequence[Wait], others: Sequence[Wait]) -> tuple[Wait, ...]:
    """Each of the ``others`` is waited for as a signal, and told in the words of its room instead."""
    signals = [wait for wait in known if wait.kind == "signal"]
    return (*others, *signals[len(others) :], *(wait for wait in known if wait.kind == "time"))
