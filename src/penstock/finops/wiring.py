"""How the parts of finops are put together, and what they do besides charging: recovery, draining, checks, measures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from penstock.finops.budgets import Budgets
from penstock.finops.drain import Drain
from penstock.finops.ledger import Charge, Reserve, Tills
from penstock.finops.ledger_pages import ledger_pages
from penstock.finops.pages import pages
from penstock.finops.parts import Parts
from penstock.finops.pricing import PriceBook
from penstock.finops.routes import routes
from penstock.finops.service import Money
from penstock.finops.settings import FinopsSettings
from penstock.finops.shares import Shares
from penstock.finops.tables import SPOOL
from penstock.kernel.candidates import FreeProviders, Published
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.circumstances import Installments, Purse
from penstock.kernel.delegation import Holding
from penstock.kernel.errors import PenstockError
from penstock.kernel.events import BudgetSpent
from penstock.kernel.ports import Meter, Metric, Ports
from penstock.kernel.recall import Prices
from penstock.kernel.seat import Seat
from penstock.kernel.tasks import Tasks, TasksChanged
from penstock.kernel.web import NavItem
from penstock.storage.records import Records
from penstock.storage.spool import Spool, damaged_files

_log = logging.getLogger("penstock.finops")


LOOK_SECONDS = 1.0
"""How often budgets are looked for that other processes have made or changed."""


def wire(house: House) -> Offer:
    """Build finops inside ``house``."""
    settings = house.settings(FinopsSettings)
    records = house.ports.get(Records)
    book = PriceBook(settings, house.data_dir)
    # Of the embedded database one process knows what it spends, unless there are several workers.
    seat = house.ports.find(Seat)
    budgets = Budgets(house.events, shared=records.dialect != "sqlite" or (seat is not None and seat.workers > 1))
    tills = Tills()
    charge = Charge(budgets, book, tills)
    reserve = Reserve(budgets, book, tills, settings.assumed_output_tokens, refuse_unpriced=settings.unpriced == "refuse")
    house.events.subscribe(BudgetSpent, _tell)
    life = FinopsLife(records, settings, house.data_dir / SPOOL, book, charge, budgets, house.ports)
    house.events.subscribe(TasksChanged, life.tasks_changed)
    reserve.more = life.money.more
    return Offer(
        stages=(charge, reserve),
        routes=routes(life.money, book),
        pages=(*pages(house.ports, life.money), *ledger_pages(house.ports, life.money)),
        nav=(
            NavItem("Spend", "/console/spend", "download", "Govern", 10, "s"),
            NavItem("Ledger", "/console/ledger", "book", "Govern", 15, "l"),
            NavItem("Budgets", "/console/budgets", "budgets", "Govern", 20, "b"),
        ),
        services=(life,),
        checks=(life.check,),
        metrics=(life,),
        ports={
            Prices: book,
            Published: book,
            Holding: reserve,
            Meter: Parts(charge, reserve, budgets, book, tills),
            Purse: reserve,
            Installments: charge,
        },
    )


def _tell(event: BudgetSpent) -> None:
    _log.warning(
        "budget spent" if event.percent >= 100 else "budget nearly spent",
        extra={"budget": event.name, "id": event.budget_id, "percent": event.percent, "limit": event.limit, "spent": event.spent},
    )


class FinopsLife:
    """Finops as a service: recovers what dead processes journalled, counts budgets, drains."""

    name = "finops"

    def __init__(
        self,
        records: Records,
        settings: FinopsSettings,
        root: Path,
        book: PriceBook,
        charge: Charge,
        budgets: Budgets,
        ports: Ports,
    ) -> None:
        self._ports = ports
        self._looking: asyncio.Task[None] | None = None
        self._records = records
        self._settings = settings
        self._root = root
        self._book = book
        self._charge = charge
        self._budgets = budgets
        self._drain: Drain | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self.money = Money(records, budgets, self._flush)

    async def start(self) -> None:
        """Recover, open the spool, count what is spent. Raises `StorageError` when the database or the disk does not take part."""
        spool = Spool(self._root, durability=self._settings.durability)
        self._drain = Drain(self._records, spool, self._root, self._settings.drain_seconds)
        recovered = await self._drain.recover()
        if recovered:
            _log.info("recovered ledger rows of a process that was killed", extra={"rows": recovered})
        if self._budgets.shared:
            self.money.join(Shares(self._records, self._budgets, self._flush, spool.path.name))
        self.money.follow(self._ports.find(Tasks))
        free = self._ports.find(FreeProviders)
        if free is not None:
            self._book.set_free(free.free())
        await self.money.refresh()
        self._charge.open(spool)
        self._drain.begin()
        if self._budgets.shared:
            self._refreshing = asyncio.create_task(self._refresh(), name="budgets")
        # Read off the line, so that no call waits for the price list; 30 ms on a thread.
        self._warming = asyncio.create_task(asyncio.to_thread(self._book.warm), name="price list")

    def tasks_changed(self, event: TasksChanged) -> None:
        """Take in the budgets that tasks declare now; a call or two of this moment may still go by the old ones."""
        if self._drain is not None and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look(), name="budgets of tasks")

    async def _look(self) -> None:
        tasks, seen = self._ports.find(Tasks), -1
        while tasks is not None and tasks.version != seen:  # changed again meanwhile
            version = tasks.version
            try:
                await self.money.look()
                seen = version
            except PenstockError as fault:
                _log.warning("budgets of tasks cannot be taken in yet", extra={"fault": fault.message})
                await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> None:
        """Move the last rows into the database."""
        for work in (self._refreshing, self._looking):
            if work is not None:
                work.cancel()
                await asyncio.wait([work])
        if self._drain is not None:
            await self._drain.end()
            self._drain = None
        await self.money.leave()

    async def check(self) -> Sequence[Finding]:
        """Whether rows wait in spools, or could not be read."""
        damaged = damaged_files(self._root)
        if damaged:
            return [
                Finding(
                    name="ledger",
                    status="fail",
                    what=f"{len(damaged)} journal files hold entries that cannot be read, such as {damaged[0]}",
                    mend="keep the files and look at what wrote them; nothing else was lost",
                )
            ]
        return [Finding(name="ledger", status="ok", what=f"journal in {self._root}, no damaged files")]

    def metrics(self) -> Iterable[Metric]:
        """Rows written, rows without a price, bytes that wait in the spool, and how budgets stand."""
        charge = self._charge
        yield Metric(name="penstock_ledger_rows", help="Ledger rows journalled.", kind="counter", samples=(({}, charge.rows),))
        yield Metric(
            name="penstock_ledger_unpriced_rows",
            help="Ledger rows without a known price.",
            kind="counter",
            samples=(({}, charge.unpriced),),
        )
        waiting = self._drain.waiting if self._drain is not None else 0
        yield Metric(
            name="penstock_ledger_spool_bytes", help="Journalled bytes not yet in the database.", kind="gauge", samples=(({}, waiting),)
        )
        unreadable = self._drain.carrier.unreadable if self._drain is not None else 0
        lost = "Journalled rows that a drain could not read; they are in the log."
        yield Metric(name="penstock_ledger_unreadable_rows", help=lost, kind="counter", samples=(({}, unreadable),))
        used = tuple(
            ({"budget": v.budget.name}, (v.standing.spent + v.standing.reserved) / v.budget.limit if v.budget.limit else 1.0)
            for v in self.money.all_budgets()
        )
        if used:
            yield Metric(name="penstock_budget_used_ratio", help="Spent and reserved part of each budget.", kind="gauge", samples=used)

    async def _refresh(self) -> None:
        failing, every = False, self._settings.budget_refresh_seconds
        count_at = time.monotonic() + every
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, every))
            try:
                if time.monotonic() >= count_at:
                    count_at = time.monotonic() + every
                    await self.money.refresh()
                else:
                    await self.money.look()
            except PenstockError as fault:
                if not failing:
                    _log.warning("budgets go on with the shares that this process holds", extra={"fault": fault.message})
                failing = True
            else:
                failing = False

    async def _flush(self) -> None:
        if self._drain is not None:
            await self._drain.flush()
