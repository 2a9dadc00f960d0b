"""Budgets, corrections and questions about money, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from tests.finops.samples import AT, ledger_row

from penstock.finops import store
from penstock.finops.audit import audit
from penstock.finops.budgets import Budgets, Owners
from penstock.finops.money import UnitPrices
from penstock.finops.rows import LedgerRow
from penstock.finops.service import BudgetChange, Correction, Filter, LedgerEntry, Money
from penstock.finops.tables import BUDGETS, LEDGER
from penstock.kernel.call import Usage
from penstock.kernel.errors import BudgetExceeded, Conflict, Forbidden, NotFound, RequestError, StorageError
from penstock.kernel.events import BudgetSpent, Events
from penstock.kernel.principal import Principal, Scope
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

NOW = 1_800_000_000.0
OPERATOR = Principal(key_id="key_root", name="root", organisation="org_home", scopes=frozenset({Scope.ADMIN}), home=True)
TENANT = Principal(key_id="key_them", name="them", organisation="org_them", scopes=frozenset({Scope.ADMIN}))


class Till:
    """One process: budgets in memory over a database that may be shared."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.told: list[BudgetSpent] = []
        events = Events()
        events.subscribe(BudgetSpent, self.told.append)
        self.waiting: list[LedgerRow] = []
        self.budgets = Budgets(events, lambda: NOW)
        self.money = Money(records, self.budgets, self.flush, lambda: NOW)
        self.number = 0

    async def flush(self) -> None:
        rows, self.waiting = self.waiting, []
        await self.records.write(lambda connection: store.add_rows(connection, rows))

    def spend(self, amount: int, organisation: str = "org_home", model: str = "m") -> str:
        """One call: reserved, settled, journalled."""
        owners = Owners(organisation, None, None, None, "key", None, model)
        reservation = self.budgets.reserve(owners, amount)
        self.number += 1
        id = f"call_{id_part(self)}{self.number:08d}"
        self.budgets.settle(reservation, owners, amount, id=id, started=NOW)
        self.waiting.append(
            LedgerRow(
                id, int(NOW * 1000), organisation, None, None, None, "key", None, model, "p", model, "chat",
                Usage(input=amount), UnitPrices(input=1_000_000), amount, "USD", "ok", "0" * 32, {},
            )
        )  # fmt: skip
        return id


def id_part(till: Till) -> str:
    return f"{id(till) % 10**8:08d}"


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ["penstock.finops.migrations"])
    yield opened
    opened.close()


async def test_a_budget_holds_from_the_next_call_on_and_counts_what_was_spent_before(records: Records) -> None:
    till = Till(records)
    till.spend(700)
    made = await till.money.create_budget(OPERATOR, BudgetChange(name="month", limit=1000))
    assert (made.standing.spent, made.budget.organisation) == (700, "org_home")
    till.spend(300)
    with pytest.raises(BudgetExceeded):
        till.spend(1)
    raised = await till.money.change_budget(OPERATOR, made.budget.id, BudgetChange(name="month", limit=2000))
    assert raised.standing.spent == 1000
    till.spend(1)
    await till.money.remove_budget(OPERATOR, made.budget.id)
    with pytest.raises(NotFound):
        till.money.budget(OPERATOR, made.budget.id)
    till.spend(10_000)


async def test_what_was_reached_before_a_restart_is_not_told_again(records: Records) -> None:
    before = Till(records)
    await before.money.create_budget(OPERATOR, BudgetChange(name="soft", limit=1000, hard=False))
    before.spend(900)
    await before.flush()
    after = Till(records)
    await after.money.refresh()
    assert (len(before.told), after.told) == (1, [])


async def test_a_restart_counts_exactly_what_is_on_the_ledger(records: Records) -> None:
    before = Till(records)
    made = await before.money.create_budget(OPERATOR, BudgetChange(name="month", limit=10_000))
    for amount in (1, 20, 300):
        before.spend(amount)
    await before.flush()
    after = Till(records)
    await after.money.refresh()
    assert after.money.budget(OPERATOR, made.budget.id).standing.spent == 321


async def test_two_processes_hold_one_budget(records: Records) -> None:
    one, two = Till(records), Till(records)
    made = await one.money.create_budget(OPERATOR, BudgetChange(name="shared", limit=1000))
    await two.money.refresh()
    one.spend(600)
    two.spend(300)
    for till in (one, two, one):
        await till.money.refresh()
    assert [till.money.budget(OPERATOR, made.budget.id).standing.spent for till in (one, two)] == [900, 900]
    for till in (one, two):
        with pytest.raises(BudgetExceeded):
            till.spend(200)
    await one.money.remove_budget(OPERATOR, made.budget.id)
    await two.money.refresh()
    two.spend(5000)


@pytest.mark.parametrize("written", [False, True], ids=["after the count", "before the sum"])
async def test_spending_during_a_count_counts_once(records: Records, written: bool) -> None:
    till = Till(records)
    made = await till.money.create_budget(OPERATOR, BudgetChange(name="month", limit=10_000))
    till.spend(3)
    flush = till.flush

    async def busy() -> None:
        if written:
            till.spend(50, "org_them")
            till.spend(50)  # ends after the count began, and is on the ledger before it is added up
            await flush()
        else:
            await flush()
            till.spend(50)  # settled between the flush and the sum

    till.money._flush = busy
    await till.money.refresh()
    assert till.money.budget(OPERATOR, made.budget.id).standing.spent == 53
    till.money._flush = flush
    await till.money.refresh()
    assert till.money.budget(OPERATOR, made.budget.id).standing.spent == 53


async def test_a_count_that_fails_leaves_the_budget_as_it_was(records: Records) -> None:
    till = Till(records)
    made = await till.money.create_budget(OPERATOR, BudgetChange(name="month", limit=10_000))
    till.spend(3)

    async def refused() -> None:
        raise StorageError("no database")

    flush, till.money._flush = till.money._flush, refused
    with pytest.raises(StorageError):
        await till.money.refresh()
    till.spend(4)
    assert till.money.budget(OPERATOR, made.budget.id).standing.spent == 7
    assert till.budgets._marks == []
    till.money._flush = flush


async def test_alerts_come_once_at_each_level(records: Records) -> None:
    till = Till(records)
    await till.money.create_budget(OPERATOR, BudgetChange(name="soft", limit=1000, hard=False, alerts=(50, 80)))
    for _ in range(12):
        till.spend(100)
    assert [(event.name, event.percent, event.spent) for event in till.told] == [("soft", 50, 500), ("soft", 80, 800), ("soft", 100, 1000)]


async def test_a_budget_of_one_organisation_does_not_count_another(records: Records) -> None:
    till = Till(records)
    theirs = await till.money.create_budget(TENANT, BudgetChange(name="m", limit=100, subject_kind="model", subject="m"))
    everything = await till.money.create_budget(OPERATOR, BudgetChange(name="all", limit=10_000, organisation=""))
    till.spend(90, "org_home")
    till.spend(60, "org_them")
    assert till.money.budget(TENANT, theirs.budget.id).standing.spent == 60
    assert till.money.budget(OPERATOR, everything.budget.id).standing.spent == 150
    with pytest.raises(BudgetExceeded):
        till.spend(60, "org_them")
    with pytest.raises(NotFound):
        till.money.budget(TENANT, everything.budget.id)
    with pytest.raises(Forbidden):
        await till.money.create_budget(TENANT, BudgetChange(name="x", limit=1, organisation="org_home"))
    assert [view.budget.name for view in till.money.budgets(TENANT)] == ["m"]


async def test_a_correction_is_another_row_and_moves_the_budget(records: Records) -> None:
    till = Till(records)
    made = await till.money.create_budget(OPERATOR, BudgetChange(name="month", limit=1000))
    id = till.spend(400)
    entry = await till.money.correct(OPERATOR, id, Correction(amount=150, reason="billed less"))
    assert (entry.amount, entry.corrects, entry.by, entry.status) == (-250, id, "key_root", "correction")
    assert till.money.budget(OPERATOR, made.budget.id).standing.spent == 150
    page = await till.money.ledger(OPERATOR, Filter(), None, 10)
    assert (page.rows, page.amount, page.unpriced) == (1, 150, 0)
    assert [row.id for row in page.data] == [f"{id}.0001", id]
    (group,) = (await till.money.spend(OPERATOR, Filter(), "model")).data
    assert (group.calls, group.amount) == (1, 150)
    again = await till.money.correct(OPERATOR, id, Correction(amount=400, reason="it was right"))
    assert again.amount == 250
    for wrong, param in (
        (Correction(amount=400, reason="same"), "amount"),
        (Correction(amount=-1, reason="x"), "amount"),
        (Correction(amount=1, reason=" "), "reason"),
    ):
        with pytest.raises(RequestError) as fault:
            await till.money.correct(OPERATOR, id, wrong)
        assert fault.value.param == param
    with pytest.raises(RequestError, match="a correction itself"):
        await till.money.correct(OPERATOR, entry.id, Correction(amount=1, reason="x"))
    with pytest.raises(NotFound):
        await till.money.correct(TENANT, id, Correction(amount=1, reason="x"))
    with pytest.raises(NotFound):
        await till.money.correct(OPERATOR, "call_nothing", Correction(amount=1, reason="x"))


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        ({"name": ""}, "name"),
        ({"limit": -1}, "limit"),
        ({"limit": 10**16}, "limit"),
        ({"subject_kind": "team"}, "subject"),
        ({"subject": "x"}, "subject"),
        ({"alerts": (0,)}, "alerts"),
        ({"alerts": (100,)}, "alerts"),
        ({"alerts": tuple(range(1, 13))}, "alerts"),
    ],
    ids=str,
)
async def test_what_a_budget_may_be_is_checked(tmp_path: Path, terms: dict[str, Any], param: str) -> None:
    records = open_records("", tmp_path)
    migrate(records, ["penstock.finops.migrations"])
    with pytest.raises(RequestError) as fault:
        await Till(records).money.create_budget(OPERATOR, BudgetChange(**{"name": "b", "limit": 5, **terms}))
    assert fault.value.param == param
    records.close()


async def test_names_are_unique_within_an_organisation(records: Records) -> None:
    till = Till(records)
    await till.money.create_budget(OPERATOR, BudgetChange(name="month", limit=1))
    await till.money.create_budget(TENANT, BudgetChange(name="month", limit=1))
    with pytest.raises(Conflict):
        await till.money.create_budget(OPERATOR, BudgetChange(name="month", limit=2))


async def test_spending_by_group_and_day(records: Records) -> None:
    till = Till(records)
    till.spend(5, model="a")
    till.spend(7, model="b")
    till.spend(9, "org_them", model="b")
    by_model = await till.money.spend(OPERATOR, Filter(), "model")
    assert [(row.group, row.amount, row.calls) for row in by_model.data] == [("b", 16, 2), ("a", 5, 1)]
    assert [(row.group, row.amount) for row in (await till.money.spend(TENANT, Filter(), "model")).data] == [("b", 9)]
    (day,) = (await till.money.spend(OPERATOR, Filter(), "day")).data
    assert (day.group, day.amount) == ("2027-01-15", 21)
    page = await till.money.ledger(OPERATOR, Filter(model="b"), None, 1)
    assert (page.rows, page.amount, len(page.data)) == (2, 16, 1)
    rest = await till.money.ledger(OPERATOR, Filter(model="b"), page.next_cursor, 5)
    assert len(rest.data) == 1


async def test_what_is_not_listed_by_itself_is_in_the_others(records: Records) -> None:
    till = Till(records)
    for number in range(1, 131):
        till.spend(number, model=f"m{number:03d}")
    till.spend(1000, "org_them", model="theirs")
    ours = Principal(key_id="k", name="ours", organisation="org_home", scopes=frozenset({Scope.READ}))
    found = await till.money.spend(ours, Filter(), "model")
    assert [row.group for row in found.data] == [f"m{number:03d}" for number in range(130, 30, -1)]
    assert found.amount == sum(range(1, 131))
    assert found.others is not None
    assert (found.others.groups, found.others.calls, found.others.amount) == (30, 30, sum(range(1, 31)))
    assert found.others.input_tokens == sum(range(1, 31))
    assert (await till.money.spend(ours, Filter(), "model", 130)).others is None
    nothing = await till.money.spend(ours, Filter(model="none such"), "model")
    assert (nothing.data, nothing.others, nothing.amount) == ([], None, 0)


async def test_the_latest_days_are_listed_and_the_earlier_ones_are_the_others(records: Records) -> None:
    till = Till(records)
    day = 86_400_000
    rows = [ledger_row(f"call_d{number}", at=AT - number * day, amount=10**number) for number in range(4)]
    await records.write(lambda connection: store.add_rows(connection, rows))
    found = await till.money.spend(OPERATOR, Filter(), "day", 2)
    assert [(row.group, row.amount) for row in found.data] == [("2027-01-14", 10), ("2027-01-15", 1)]
    assert found.others is not None
    assert (found.others.groups, found.others.amount, found.amount) == (2, 1100, 1111)


async def test_nul_is_refused_before_the_database_is_asked(records: Records) -> None:
    till = Till(records)
    id = till.spend(5)
    for asked, param in (
        (till.money.create_budget(OPERATOR, BudgetChange(name="a\0", limit=1)), "name"),
        (till.money.create_budget(OPERATOR, BudgetChange(name="a", limit=1, subject_kind="task", subject="\0")), "subject"),
        (till.money.create_budget(OPERATOR, BudgetChange(name="a", limit=1, organisation="\0")), "organisation"),
        (till.money.correct(OPERATOR, id, Correction(amount=1, reason="be\0cause")), "reason"),
        (till.money.correct(OPERATOR, "\0", Correction(amount=1, reason="because")), "id"),
        (till.money.row(OPERATOR, "call_\0"), "id"),
        (till.money.ledger(OPERATOR, Filter(), "\0", 1), "cursor"),
        (till.money.ledger(OPERATOR, Filter(task="\0"), None, 1), "task"),
        (till.money.spend(OPERATOR, Filter(key="\0"), "task"), "key"),
    ):
        with pytest.raises(RequestError, match="NUL") as fault:
            await asked
        assert fault.value.param == param


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    costs=st.lists(st.integers(0, 500), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500)), max_size=8),
)
async def test_after_any_corrections_everything_agrees(
    records: Records, tmp_path: Path, costs: list[int], steps: list[tuple[int, int]]
) -> None:
    with records.begin() as connection:
        connection.execute(delete(LEDGER))
        connection.execute(delete(BUDGETS))
    till = Till(records)
    made = await till.money.create_budget(OPERATOR, BudgetChange(name="all", limit=1, hard=False))
    ids = [till.spend(cost) for cost in costs]
    should = dict(zip(ids, costs, strict=True))
    count = 0
    for at, amount in steps:
        id = ids[at % len(ids)]
        if amount == should[id]:
            with pytest.raises(RequestError, match="already"):
                await till.money.correct(OPERATOR, id, Correction(amount=amount, reason="r"))
            continue
        await till.money.correct(OPERATOR, id, Correction(amount=amount, reason="r"))
        should[id], count = amount, count + 1
    for id, amount in should.items():
        assert (await till.money.row(OPERATOR, id)).amount == amount
    total = sum(should.values())
    page = await till.money.ledger(OPERATOR, Filter(), None, 100)
    assert (page.rows, page.amount, len(page.data)) == (len(ids), total, len(ids) + count)
    assert (await till.money.spend(OPERATOR, Filter(), "model")).amount == total
    assert till.money.budget(OPERATOR, made.budget.id).standing.spent == total
    found = audit(records, tmp_path / "ledger", NOW)
    assert (found.faults, found.checked, found.corrections) == ([], len(ids) + count, count)


async def test_corrections_at_the_same_moment_leave_a_ledger_that_is_sound(records: Records, tmp_path: Path) -> None:
    till = Till(records)
    id = till.spend(400)
    await till.flush()
    asked = [till.money.correct(OPERATOR, id, Correction(amount=amount, reason="r")) for amount in (10, 20, 30, 40)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    # Whoever was second at the database may be told to look again; whoever was not told so has written the last word.
    assert all(isinstance(one, LedgerEntry | Conflict | StorageError) for one in done), done
    entries = [one for one in done if isinstance(one, LedgerEntry)]
    view = await till.money.row(OPERATOR, id)
    assert {c.id for c in view.corrections} == {e.id for e in entries}
    assert view.amount in (10, 20, 30, 40)
    assert audit(records, tmp_path / "ledger", NOW).faults == []
