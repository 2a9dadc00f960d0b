"""The SQL of the ledger against a plain computation of the same, on both engines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from tests.finops.samples import AT, ledger_row, texts

from penstock.finops import store
from penstock.finops.budgets import Budget
from penstock.finops.rows import LedgerRow
from penstock.finops.tables import LEDGER
from penstock.kernel.call import Usage
from penstock.kernel.errors import Conflict
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

# One database per test, emptied by each example.
examples = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
DAY = 86_400_000
few = st.sampled_from(["a", "b", "c"])
calls = st.builds(
    ledger_row,
    st.integers(0, 30).map("call_{:04d}".format),
    at=st.integers(0, 4).map(lambda days: AT - days * DAY),
    organisation=st.sampled_from(["org_a", "org_b"]),
    team=st.none() | few,
    task=st.none() | few,
    model=few,
    usage=st.builds(Usage, input=st.integers(0, 10**6), output=st.integers(0, 10**6)),
    prices=st.none() | st.just(ledger_row("x").prices),
)
deliveries = st.lists(st.lists(calls, max_size=6), max_size=8)


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ["penstock.finops.migrations"])
    yield opened
    opened.close()


def deliver(records: Records, batches: list[list[LedgerRow]]) -> dict[str, LedgerRow]:
    """Empty the ledger and deliver the batches; the first row of each id, which is what must be there."""
    kept: dict[str, LedgerRow] = {}
    with records.begin() as connection:
        connection.execute(delete(LEDGER))
    for batch in batches:
        new = {row.id for row in batch} - kept.keys()
        for row in batch:
            kept.setdefault(row.id, row)
        with records.begin() as connection:
            assert store.add_rows(connection, batch) == len(new)
    return kept


@examples
@given(batches=deliveries)
def test_a_row_delivered_again_is_one_row_and_the_first_stays(records: Records, batches: list[list[LedgerRow]]) -> None:
    kept = deliver(records, batches)
    with records.snapshot() as connection:
        found = store.rows(connection, [], None, 1000)
        assert found == sorted(kept.values(), key=lambda row: row.id, reverse=True)
        assert {row["id"] for row in store.by_id(connection, [*kept, "call_none"])} == kept.keys()


@examples
@given(batches=deliveries)
def test_sums_are_the_sums_of_the_rows(records: Records, batches: list[list[LedgerRow]]) -> None:
    kept = list(deliver(records, batches).values())
    with records.snapshot() as connection:
        where = [LEDGER.c.organisation == "org_a"]
        ours = [row for row in kept if row.organisation == "org_a"]
        unpriced = sum(row.prices is None for row in ours)
        assert store.totals(connection, where) == (len(ours), sum(row.amount for row in ours), unpriced)
        for since in (0, AT - 2 * DAY, AT + 1):
            for organisation in ("", "org_a"):
                inside = [row for row in kept if row.at >= since and organisation in ("", row.organisation)]
                assert store.spent(connection, organisation, "everything", "", since) == sum(row.amount for row in inside)
                assert store.spent(connection, organisation, "team", "b", since) == sum(row.amount for row in inside if row.team == "b")
                assert store.spent(connection, organisation, "model", "c", since) == sum(row.amount for row in inside if row.model == "c")


@examples
@given(batches=deliveries, column=st.sampled_from(["task", "model", "team", "organisation", "status"]), limit=st.integers(1, 4))
def test_groups_and_the_whole_agree(records: Records, batches: list[list[LedgerRow]], column: str, limit: int) -> None:
    kept = list(deliver(records, batches).values())
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in kept:
        for at, value in enumerate((1, row.amount, row.usage.input, row.usage.output)):
            sums[getattr(row, column)][at] += value
    with records.snapshot() as connection:
        listed, groups, total = store.grouped(connection, [], column, limit)
    assert groups == len(sums)
    assert total == tuple(sum(one[at] for one in sums.values()) for at in range(4))
    assert len(listed) == min(limit, groups)
    assert all(found == tuple(sums[name]) for name, found in listed)
    amounts = [found[1] for _, found in listed]
    assert amounts == sorted((one[1] for one in sums.values()), reverse=True)[:limit]


@examples
@given(batches=deliveries, size=st.integers(1, 7))
def test_pages_hold_every_row_once(records: Records, batches: list[list[LedgerRow]], size: int) -> None:
    kept = deliver(records, batches)
    seen: list[str] = []
    with records.snapshot() as connection:
        while page := store.rows(connection, [], seen[-1] if seen else None, size):
            assert len(page) <= size
            seen += [row.id for row in page]
    assert seen == sorted(kept, reverse=True)


@examples
@given(text=texts, labels=st.dictionaries(texts, texts, max_size=3))
def test_any_text_comes_back_as_it_was(records: Records, text: str, labels: dict[str, str]) -> None:
    row = ledger_row("call_text", model=text, task=text, provider=text, labels=labels, reason=text, corrects=text, by=text)
    deliver(records, [[row]])
    with records.snapshot() as connection:
        assert store.one(connection, "call_text", None) == row
        assert store.one(connection, "call_text", "org_b") is None


def test_days_are_days_of_utc_in_their_order(records: Records) -> None:
    midnight = AT // DAY * DAY
    deliver(
        records, [[ledger_row("call_1", at=midnight - 1), ledger_row("call_2", at=midnight), ledger_row("call_3", at=midnight + DAY - 1)]]
    )
    with records.snapshot() as connection:
        listed, groups, _ = store.grouped(connection, [], "day", 5)
    assert [(int(float(name or "")), sums[0]) for name, sums in listed] == [(midnight // DAY - 1, 1), (midnight // DAY, 2)]
    assert groups == 2


def test_corrections_come_in_their_order_and_count_as_money_not_as_calls(records: Records) -> None:
    fields = {"usage": Usage(), "prices": None, "status": "correction", "corrects": "call_1", "reason": "r"}
    made = [ledger_row(f"call_1.{n:04d}", amount=amount, **fields) for n, amount in ((1, -5), (2, 3))]
    deliver(records, [[ledger_row("call_1"), ledger_row("call_10"), made[1]], [made[0]]])
    with records.snapshot() as connection:
        assert store.corrections(connection, "call_1") == made
        assert store.corrected(connection, "call_1") == (2, -2)
        assert store.corrected(connection, "call_10") == (0, 0)
        assert store.totals(connection, []) == (2, 38, 0)


def test_budgets_are_kept_whole_and_names_are_one_organisations_own(records: Records) -> None:
    made = Budget(
        id="b1", name="n", subject_kind="team", subject="t", period="week", limit=10**15, hard=False, created_at=1.5, organisation="o",
        alerts=(5, 50, 99),
    )  # fmt: skip
    with records.begin() as connection:
        store.put_budget(connection, made, new=True)
    with pytest.raises(Conflict), records.begin() as connection:
        store.put_budget(connection, Budget(**{**_fields(made), "id": "b2"}), new=True)
    changed = Budget(**{**_fields(made), "alerts": (), "hard": True})
    with records.begin() as connection:
        store.put_budget(connection, changed, new=False)
    with records.snapshot() as connection:
        assert store.budgets(connection) == [changed]
    with records.begin() as connection:
        store.remove_budget(connection, "b1")
    with records.snapshot() as connection:
        assert store.budgets(connection) == []


def _fields(budget: Budget) -> dict[str, Any]:
    return {name: getattr(budget, name) for name in Budget.__struct_fields__}
