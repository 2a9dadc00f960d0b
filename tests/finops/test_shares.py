"""Several processes and one budget: together they never spend more than it, and hardly less."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.crew import COST, Crew, upstream
from tests.finops.samples import ledger_row

from penstock.app import capabilities, migration_packages
from penstock.finops import store
from penstock.finops.budgets import Budget, Budgets, Owners, Reservation
from penstock.finops.rows import LedgerRow
from penstock.finops.service import Money
from penstock.finops.shares import LEASE, TRUST, Shares
from penstock.kernel.errors import BudgetExceeded, StorageError
from penstock.kernel.events import Events
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

OWNERS = Owners("org", None, None, None, "key", None, "m")
NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Process:
    """What one process has of finops: budgets in memory, rows that are not in the table yet, its shares."""

    def __init__(self, records: Records, name: str, clock: Clock) -> None:
        self.records = records
        self.name = name
        self.clock = clock
        self.journal: list[LedgerRow] = []
        self.spent = 0
        self.calls = 0
        self.broken = False
        self.budgets = Budgets(Events(), clock, shared=True)
        self.money = Money(records, self.budgets, self.flush, clock)
        self.shares = Shares(records, self.budgets, self.flush, name, clock)
        self.money.join(self.shares)

    async def flush(self) -> None:
        if self.broken:
            raise StorageError("the database does not answer")
        rows, self.journal = self.journal, []
        if rows:
            await self.records.write(lambda connection: store.add_rows(connection, rows))

    async def reserve(self, amount: int) -> Reservation | None:
        try:
            return self.budgets.reserve(OWNERS, amount)
        except BudgetExceeded:
            more = self.money.more()
            if more is None:
                raise
            await more
            return self.budgets.reserve(OWNERS, amount)

    def settle(self, reservation: Reservation | None, amount: int) -> None:
        self.calls += 1
        id = f"call_{self.name}_{self.calls:06d}"
        self.journal.append(ledger_row(id, at=int(self.clock.now * 1000), organisation="org", key_id="key", amount=amount))
        self.spent += amount
        self.budgets.settle(reservation, OWNERS, amount, id=id, started=self.clock.now)


PROCESSES: list[Process] = []
"""Those of the test that runs, which end before their database is closed."""


@pytest.fixture
async def records(database: str, tmp_path: Path) -> AsyncIterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, migration_packages(capabilities()))
    yield opened
    for one in PROCESSES:
        await one.money.leave()
    PROCESSES.clear()
    opened.close()


async def crew(records: Records, limit: int, *, number: int = 3, period: str = "total") -> tuple[list[Process], Clock]:
    clock = Clock()
    budget = Budget(
        id="budget_1",
        name="b",
        subject_kind="key",
        subject="key",
        period=period,
        limit=limit,
        hard=True,
        created_at=NOW,  # type: ignore[arg-type]
    )
    await records.write(lambda connection: store.put_budget(connection, budget, new=True))
    processes = [Process(records, f"p{n}", clock) for n in range(number)]
    for one in processes:
        await one.money.refresh()
    PROCESSES.extend(processes)
    return processes, clock


class Watched(Process):
    """One of which it is known how many of its renewals are under way at once."""

    inside = most = 0

    async def flush(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0)
        await super().flush()
        self.inside -= 1


async def test_a_process_renews_its_shares_one_after_the_other(records: Records) -> None:
    _, clock = await crew(records, 1000, number=1)
    one = Watched(records, "watched", clock)
    PROCESSES.append(one)
    await one.money.refresh()
    await asyncio.gather(*(one.money.refresh() for _ in range(3)))
    assert one.most == 1


async def test_together_they_spend_all_of_it_and_never_more(records: Records) -> None:
    limit, most = 200_000, 1000
    processes, _ = await crew(records, limit)
    chance = random.Random(7)
    reserved = 0

    async def client(one: Process) -> None:
        nonlocal reserved
        refused = 0
        while refused < 8:
            amount = chance.randint(1, most)
            try:
                held = await one.reserve(amount)
            except BudgetExceeded:
                refused += 1
                await asyncio.sleep(0.05)
                continue
            reserved += amount
            assert reserved + sum(p.spent for p in processes) <= limit
            await asyncio.sleep(chance.uniform(0, 0.005))
            reserved -= amount
            one.settle(held, chance.randint(0, amount))

    async def rounds(one: Process) -> None:
        while True:
            await asyncio.sleep(0.05)
            await one.money.refresh()

    looking = [asyncio.create_task(rounds(one)) for one in processes]
    async with asyncio.timeout(25):
        await asyncio.gather(*(client(one) for one in processes for _ in range(4)))
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    total = sum(one.spent for one in processes)
    assert limit - 4 * most <= total <= limit
    assert all(one.spent for one in processes)


async def test_one_alone_gets_the_last_of_it(records: Records) -> None:
    (one, *_), _ = await crew(records, 10_000)
    for _ in range(10):
        one.settle(await one.reserve(1000), 1000)
    with pytest.raises(BudgetExceeded):
        await one.reserve(1)


async def test_what_an_idle_process_holds_is_the_others_after_a_while(records: Records) -> None:
    (one, two, _), clock = await crew(records, 10_000)
    one.settle(await one.reserve(100), 100)
    await one.money.refresh()
    held = await two.reserve(100)
    with pytest.raises(BudgetExceeded):
        await two.reserve(9800)  # the first, which has just spent, keeps room for more
    clock.now += 10
    await one.money.refresh()
    assert await two.reserve(9800) is not None
    two.settle(held, 100)
    with pytest.raises(BudgetExceeded):
        await one.reserve(1)


async def test_the_share_of_a_dead_process_ends(records: Records) -> None:
    (dead, two, _), clock = await crew(records, 1000)
    await dead.reserve(600)
    with pytest.raises(BudgetExceeded):
        await two.reserve(500)
    clock.now += LEASE + 1
    await two.money.refresh()
    assert await two.reserve(500) is not None


async def test_without_the_database_a_process_spends_its_share_and_no_longer_than_it_may(records: Records) -> None:
    (one, *_), clock = await crew(records, 100_000)
    one.settle(await one.reserve(100), 100)
    await one.money.refresh()
    one.broken = True
    assert one.budgets.reserve(OWNERS, 100) is not None
    clock.now += TRUST + 1
    with pytest.raises(BudgetExceeded):
        one.budgets.reserve(OWNERS, 100)
    more = one.money.more()
    assert more is not None
    with pytest.raises(StorageError):
        await more


async def test_a_new_period_begins_with_new_shares(records: Records) -> None:
    (one, two, _), clock = await crew(records, 1000, period="day")
    one.settle(await one.reserve(1000), 1000)
    with pytest.raises(BudgetExceeded):
        await two.reserve(1)
    clock.now += 86_400
    assert await two.reserve(600) is not None
    with pytest.raises(BudgetExceeded):
        await one.reserve(600)
    assert await one.reserve(400) is not None


async def test_a_process_that_stops_gives_its_share_back(records: Records) -> None:
    (one, two, _), _ = await crew(records, 1000)
    held = await one.reserve(600)
    one.settle(held, 0)
    await one.flush()
    await one.shares.drop()
    assert await two.reserve(1000) is not None


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_real_workers_do_not_overspend(tmp_path: Path) -> None:
    calls = 40
    async with upstream() as provider:
        workers = Crew(tmp_path, provider.url, workers=2)
        await workers.start()
        await workers.all_up()
        made = await workers.ask("POST", "/v1/keys", {"name": "capped", "scopes": ["call"]})
        await workers.known(made["secret"])
        budget = {"name": "b", "limit": calls * COST, "period": "total", "subject_kind": "key", "subject": made["key"]["id"], "hard": True}
        id = (await workers.ask("POST", "/v1/budgets", budget))["budget"]["id"]
        # Every worker holds it at once or within a second; until then a call could pass unseen.
        async with asyncio.timeout(10):
            seen = 0
            while seen < 20:
                listed = (await workers.ask("GET", "/v1/budgets"))["data"]
                seen = seen + 1 if [b["budget"]["id"] for b in listed] == [id] else 0
        answers: list[int] = []

        async def client() -> None:
            refused = 0
            while refused < 6:
                status, _, _ = await workers.call(made["secret"])
                answers.append(status)
                if status != 200:
                    refused += 1
                    await asyncio.sleep(0.3)

        await asyncio.gather(*(client() for _ in range(8)))
        assert set(answers) == {200, 429}
        assert calls - 4 <= answers.count(200) <= calls
        assert provider.seen == answers.count(200)
        assert await workers.terminate() == 0
