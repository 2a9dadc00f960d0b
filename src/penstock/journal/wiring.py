"""How the parts of the journal are put together, and when it is opened."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Sequence
from typing import Any

from penstock.journal.pages import pages
from penstock.journal.routes import routes
from penstock.journal.service import JournalService, installed
from penstock.journal.settings import JournalSettings
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.errors import PenstockError, SettingsError
from penstock.kernel.journal import Journal
from penstock.kernel.web import NavItem
from penstock.settings import StorageSettings

_log = logging.getLogger("penstock.journal")


def wire(house: House) -> Offer:
    """Build the journal inside ``house``."""
    settings = house.settings(JournalSettings)
    service = JournalService(settings, house.settings(StorageSettings).records, house.data_dir, works=settings.work_in_up)
    life = JournalLife(service, settings)
    return Offer(
        routes=routes(service),
        pages=pages(house.ports, service),
        nav=(NavItem("Runs", "/console/runs", "runs", "Build", 20, "r"),),
        services=(life,),
        checks=(life.check,),
        ports={Journal: service},
    )


class JournalLife:
    """The journal as a service. The last room of the house to start, so that the others have defined their runs by then."""

    name = "journal"

    def __init__(self, service: JournalService, settings: JournalSettings) -> None:
        self.service = service
        self._settings = settings
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take in the definitions of the settings; where there may be runs, open the journal in the background, so that those of an earlier
        process go on while the gateway answers already. Raises `SettingsError` for a definition that cannot be loaded."""
        for reference in self._settings.definitions:
            _load(reference)(self.service)
        # Runs that rooms define are started by the house, and then it opens: a house that never does is spared the engine.
        if installed() and self.service.used and (self._settings.definitions or self.service.begun):
            self._opening = asyncio.create_task(self._open(), name="journal")

    async def stop(self) -> None:
        """Stop what runs where it stands; whoever is next takes it up."""
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

    async def _open(self) -> None:
        try:
            await self.service.begin()
        except PenstockError as fault:
            # The gateway serves all the same; whoever asks for a run is told the same.
            _log.warning("runs are not worked on", extra={"fault": fault.message, "code": fault.code})


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as fault:
        raise SettingsError(f"journal.definitions: {reference!r} cannot be loaded: {fault}", param="journal.definitions") from fault
