"""The tables hold everything that the rows and budgets of the programme hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Boolean, text

from penstock.finops.budgets import Budget
from penstock.finops.rows import LedgerRow
from penstock.finops.tables import BUDGETS, LEDGER, METADATA
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records


def test_every_field_has_a_column_and_every_column_is_of_a_field() -> None:
    assert set(METADATA.tables) == {"ledger", "budgets", "budget_shares"}
    derived = {"input_tokens", "output_tokens", "estimated"}  # of `usage`, for sums and filters
    assert set(LEDGER.columns.keys()) == set(LedgerRow.__struct_fields__) | derived
    assert set(BUDGETS.columns.keys()) == set(Budget.__struct_fields__)


def test_a_field_that_may_be_missing_may_be_null() -> None:
    may = {name for name in LedgerRow.__struct_fields__ if "None" in str(LedgerRow.__annotations__[name])}
    assert {column.name for column in LEDGER.columns if column.nullable} == may
    assert not any(column.nullable for column in BUDGETS.columns)
    assert isinstance(BUDGETS.c.hard.type, Boolean)


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("SELECT sum(amount) FROM ledger WHERE at >= 5", "ix_ledger_at"),
        ("SELECT count(*) FROM ledger WHERE corrects = 'call_1'", "ix_ledger_corrects"),
        ("SELECT id FROM ledger WHERE id < 'call_5' ORDER BY id DESC LIMIT 5", "autoindex_ledger"),
    ],
)
def test_questions_that_are_asked_all_the_time_have_an_index(tmp_path: Path, question: str, index: str) -> None:
    records = open_records("", tmp_path)
    migrate(records, ["penstock.finops.migrations"])
    with records.snapshot() as connection:
        plan = " ".join(str(row) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {question}")))
    records.close()
    assert index in plan
