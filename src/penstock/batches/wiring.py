"""How the parts of the batches are put together, and what they do by themselves."""

from __future__ import annotations

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
from penstock.kernel.errors import SettingsError
from penstock.kernel.journal import Journal, Queue
from penstock.kernel.pace import Pace
from penstock.kernel.ports import Authenticator, Holders, Metric, ModelClient, Sessions, Traffic
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.seat import Seat
from penstock.kernel.vendor import VendorDoor
from penstock.kernel.web import NavItem
from penstock.storage.records import Records

ARCHIVE_SECONDS = 3600.0
TAKE_UP_SECONDS = 5.0
"""Between two looks for what a worker that died has left."""


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
        self._alone = house.ports.find(Seat) is None
        self._taken_up = False
        self._rounds = Rounds(
            self.name,
            (Step("take up", self._take_up), Step("archive", self.batching.archive, ARCHIVE_SECONDS)),
            seconds=TAKE_UP_SECONDS,
            alone=self._alone,
        )

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
        self._rounds.begin()

    async def stop(self) -> None:
        """Nothing of its own runs on; what the journal executes it has stopped by now."""
        await self._rounds.stop()

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
        yield from self._rounds.metrics()
        yield Metric(name="penstock_batch_cuts", help="How often fewer lines were let in.", kind="counter", samples=(({}, pace.cuts),))

    async def _take_up(self) -> None:
        # With other workers here this one may have to take up theirs at any time, from when the journal is its own.
        if not self._taken_up:
            live = bool(await self._records.read(lambda c: store.listed(c, None, among=LIVE, limit=1)))
            if live:
                await self.batching.take_up()
            self._taken_up = self._alone or live
