"""How the parts of the journal are put together, and when it is opened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from penstock.journal.arrivals import Arrivals
from penstock.journal.pages import pages
from penstock.journal.routes import routes
from penstock.journal.run_pages import run_pages
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.journal.waiting import Waits
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.errors import JournalInUse, PenstockError, SettingsError
from penstock.kernel.journal import Journal, installed
from penstock.kernel.loading import load
from penstock.kernel.opening import Opening
from penstock.kernel.ports import Metric
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.seat import Seat
from penstock.kernel.waits import WaitTeller
from penstock.kernel.web import NavItem
from penstock.settings import StorageSettings

_log = logging.getLogger("penstock.journal")

RETIRE_SECONDS = 3600.0
"""Between two looks for runs that were kept long enough."""

STAND_BY_SECONDS = 0.5
"""How often a worker looks whether the journal has been let go, which costs an open file and a system call."""


def wire(house: House) -> Offer:
    """Build the journal inside ``house``."""
    settings = house.settings(JournalSettings)
    service = JournalService(
        settings, house.settings(StorageSettings).records, house.data_dir, works=settings.work_in_up, events=house.events
    )
    seat = house.ports.find(Seat)
    contents, arrivals = Opening.of(house.ports), Arrivals(service)
    waits = Waits(service, lambda: house.ports.find(WaitTeller))
    life = JournalLife(service, settings, stands_by=seat is not None and not service.shared)
    return Offer(
        routes=routes(service, contents, waits),
        pages=(*pages(house.ports, service, waits), *run_pages(house.ports, service, contents, arrivals, waits)),
        nav=(NavItem("Runs", "/console/runs", "runs", "Build", 20, "r"),),
        services=(life,),
        checks=(life.check,),
        metrics=(life,),
        holdings=() if service.shared else (service,),
        ports={Journal: service},
    )


class JournalLife:
    """The journal as a service. The last room of the house to start, so that the others have defined their runs by then."""

    name = "journal"

    def __init__(self, service: JournalService, settings: JournalSettings, *, stands_by: bool = False) -> None:
        """``stands_by``: other workers of this machine may hold the journal, and this one takes it when they let go."""
        self.service = service
        self._settings = settings
        self._stands_by = stands_by
        self._rounds = Rounds(self.name, (Step("retire", self._retire, RETIRE_SECONDS),), seconds=60.0)
        self._opening: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Take in the definitions of the settings; where there may be runs, open the journal in the background, so that those of an earlier
        process go on while the gateway answers already. Raises `SettingsError` for a definition that cannot be loaded."""
        for reference in self._settings.definitions:
            _load(reference)(self.service)
        # Runs that rooms define are started by the house, and then it opens: a house that never does is spared the engine.
        if installed() and self.service.used:
            self._rounds.begin()
            if self._stands_by:
                self._opening = asyncio.create_task(self._stand_by(), name="journal")
            elif self._settings.definitions or self.service.begun:
                self._opening = asyncio.create_task(self._open(), name="journal")

    async def stop(self) -> None:
        """Stop what runs where it stands; whoever is next takes it up."""
        self._stopping.set()
        await self._rounds.stop()
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self.service.close()

    async def check(self) -> Sequence[Finding]:
        """Whether there are runs to work on, and whether it could be done."""
        if not self._settings.definitions and not self.service.used:
            return [Finding(name="journal", status="off", what="no runs are defined")]
        if not installed():
            mend = "pip install 'penstock[journal]'"
            if self._settings.definitions or self.service.begun:
                what = "runs are defined, but the extra that they need is not installed"
                return [Finding(name="journal", status="fail", what=what, mend=mend)]
            return [Finding(name="journal", status="off", what="batches and other durable runs need an extra", mend=mend)]
        return [Finding(name="journal", status="ok", what="runs are defined")]

    def metrics(self) -> Iterable[Metric]:
        """Steps of its rounds that failed, and what they passed over."""
        yield from self._rounds.metrics()
        yield Metric(
            name="penstock_journal_unreadable_runs",
            help="Runs that ended long ago and cannot be read for the archive, so that they stay; as of the last look.",
            kind="gauge",
            samples=(({}, float(self.service.unreadable)),),
        )

    async def _retire(self) -> None:
        await self.service.retire(time.time())

    async def _open(self) -> None:
        try:
            await self.service.begin()
        except PenstockError as fault:
            # The gateway serves all the same; whoever asks for a run is told the same.
            _log.warning("runs are not worked on", extra={"fault": fault.message, "code": fault.code})

    async def _stand_by(self) -> None:
        """Until the journal is held here: take it as soon as there is one that nobody holds."""
        told = False
        while not self.service.open and not self._stopping.is_set():
            if self._settings.definitions or self.service.begun:
                try:
                    await self.service.begin()
                    return
                except JournalInUse:
                    pass  # as it should be: another worker has it
                except PenstockError as fault:
                    if not told:
                        _log.warning("runs are not worked on", extra={"fault": fault.message, "code": fault.code})
                    told = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STAND_BY_SECONDS):
                    await self._stopping.wait()


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    if not module or not name:
        raise SettingsError(f"journal.definitions: {reference!r} is no `module:function`", param="journal.definitions")
    loaded = load(module, "journal.definitions")
    try:
        return getattr(loaded, name)
    except AttributeError as fault:
        raise SettingsError(f"journal.definitions: {module!r} has no {name!r}", param="journal.definitions") from fault
