"""How the parts of the batches are put together, and what they do by themselves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from penstock.batches import anthropic, openai, store
from penstock.batches.asking import Asking
from penstock.batches.delegating import Delegation
from penstock.batches.pages import pages
from penstock.batches.runs import LIVE, NAME, QUEUE, Runs
from penstock.batches.service import Batching
from penstock.batches.settings import BatchSettings
from penstock.kernel.approvals import Approvals
from penstock.kernel.capability import House, Offer
from penstock.kernel.delegation import Holding, VendorBatches
from penstock.kernel.errors import JournalInUse, PenstockError, SettingsError
from penstock.kernel.journal import Journal, Queue
from penstock.kernel.pace import Pace
from penstock.kernel.ports import Authenticator, Holders, Metric, ModelClient, Sessions, Traffic
from penstock.kernel.seat import Seat
from penstock.kernel.vendor import VendorDoor
from penstock.kernel.web import NavItem
from penstock.storage.records import Records

_log = logging.getLogger("penstock.batches")

ARCHIVE_SECONDS = 3600.0


def wire(house: House) -> Offer:
    """Build the batches inside ``house``."""
    door = VendorDoor("req", anthropic=True)
    life = BatchLife(house, door)
    return Offer(
        endpoints=anthropic.endpoints(door, life.batching, life.settings),
        routes=openai.routes(life.batching),
        pages=pages(house.ports, life.batching),
        nav=(NavItem("Batches", "/console/batches", "tasks", "Build", 25, "a"),),
        services=(life,),
        metrics=(life,),
    )


class BatchLife:
    """The batches as a service: defines their run, takes up those that a dead process left, lets go of old results."""

    name = "batches"

    def __init__(self, house: House, door: VendorDoor) -> None:
        self.settings = settings = house.settings(BatchSettings)
        self._house = house
        self._door = door
        self._folder = Path(settings.folder) if settings.folder else house.data_dir / "batches"
        records = house.ports.get(Records)
        self.runs = Runs(records, self._folder, settings, lambda: self.asking, lambda: self.batching.files, lambda: self.delegation)
        self.batching = Batching(records, house.ports, self.runs, settings)
        self._records = records
        self._round: asyncio.Task[None] | None = None

    @cached_property
    def pace(self) -> Pace:
        """How many lines of this process are in flight."""
        return Pace(self.settings.max_in_flight, self.settings.beside_interactive, self._house.ports.find(Traffic))

    @cached_property
    def asking(self) -> Asking:
        """Who asks them."""
        ports = self._house.ports
        return Asking(ports.get(ModelClient), ports.get(Holders), self.pace, self.settings.tries)

    @cached_property
    def delegation(self) -> Delegation | None:
        """How lines are handed on to vendors' batches, None where they are not."""
        ports, settings = self._house.ports, self.settings
        if not settings.delegate:
            return None
        to, again = frozenset(settings.delegate), settings.delegate_fallback
        vendors, holding, client = ports.get(VendorBatches), ports.get(Holding), ports.get(ModelClient)
        return Delegation(vendors, holding, client, to, again=again, approvals=ports.find(Approvals))

    async def start(self) -> None:
        """Tell the journal what a batch is."""
        ports = self._house.ports
        for name in self.settings.delegate:
            if ports.get(VendorBatches).limits(name) is None:
                raise SettingsError(f"batches.delegate: {name!r} is no provider with an API of batches", param="batches.delegate")
        self._door.open(ports.get(Authenticator), ports.find(Sessions))
        settings, journal = self.settings, ports.get(Journal)
        journal.define(NAME, self.runs.execute)
        journal.declare(Queue(name=QUEUE, tenant_concurrency=settings.at_once, per_process=settings.per_process))
        self._round = asyncio.create_task(self._rounds(), name="batches")

    async def stop(self) -> None:
        """Nothing of its own runs on; what the journal executes it has stopped by now."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.wait([self._round])

    def metrics(self) -> Iterable[Metric]:
        """Lines by outcome, in flight, refusals by code, how many may be in flight."""
        pace = self.pace
        lines = tuple(({"outcome": outcome}, float(count)) for outcome, count in self.runs.lines.items())
        refused = tuple(({"code": code}, float(count)) for code, count in sorted(pace.refused.items()))
        yield Metric(name="penstock_batch_lines", help="Lines of batches that ended here.", kind="counter", samples=lines)
        yield Metric(name="penstock_batch_lines_refused", help="Refusals that lines waited out.", kind="counter", samples=refused)
        yield Metric(name="penstock_batch_lines_in_flight", help="Lines in flight now.", kind="gauge", samples=(({}, pace.in_flight),))
        yield Metric(name="penstock_batch_lines_limit", help="Lines that may be in flight now.", kind="gauge", samples=(({}, pace.limit),))
        if self.delegation is not None:
            told = tuple(({"event": event}, float(count)) for event, count in sorted(self.delegation.counts.items()))
            yield Metric(name="penstock_batch_vendor_events", help="What happened at vendors' batches.", kind="counter", samples=told)
        yield Metric(name="penstock_batch_cuts", help="How often fewer lines were let in.", kind="counter", samples=(({}, pace.cuts),))

    async def _rounds(self) -> None:
        # With other workers here this one may have to take up theirs at any time, from when the journal is its own.
        taken_up, alone = False, self._house.ports.find(Seat) is None
        archive_at = time.monotonic()
        while True:
            try:
                if not taken_up:
                    live = bool(await self._records.read(lambda c: store.listed(c, None, among=LIVE, limit=1)))
                    if live:
                        await self.batching.take_up()
                    taken_up = alone or live
                if time.monotonic() >= archive_at:
                    archive_at = time.monotonic() + ARCHIVE_SECONDS
                    await self.batching.archive()
            except JournalInUse as fault:
                if alone:
                    _log.warning("batches are not looked after", extra={"fault": fault.message, "code": fault.code})
            except PenstockError as fault:
                _log.warning("batches are not looked after", extra={"fault": fault.message, "code": fault.code})
            await asyncio.sleep(ARCHIVE_SECONDS if taken_up else 5.0)
