"""The JSON routes of money over a real socket, on both engines: shapes, statuses, and the fields that errors name."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.finops.samples import AT, ledger_row
from tests.house import SETTINGS, House, open_house

from penstock.finops import store
from penstock.finops.routes import as_csv
from penstock.finops.rows import LedgerRow
from penstock.finops.service import LedgerEntry
from penstock.kernel.call import Usage
from penstock.storage.records import Records

PRICED = f'{SETTINGS}[finops.prices."own/*"]\ninput = 2\noutput = 4\n'


@pytest_asyncio.fixture
async def house(database: str, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, PRICED, database=database) as house:
        yield house


async def enter(house: House, *rows: LedgerRow) -> None:
    await house.app.ports.get(Records).write(lambda connection: store.add_rows(connection, rows))


def entry(row: LedgerRow) -> LedgerEntry:
    return LedgerEntry(**{name: getattr(row, name) for name in LedgerEntry.__struct_fields__})


async def test_a_budgets_life(house: House) -> None:
    made = await house.made("/v1/budgets", {"name": "month", "limit": 5_000_000})
    budget = made["budget"]
    assert (budget["period"], budget["subject_kind"], budget["hard"], budget["alerts"]) == ("month", "everything", True, [80])
    assert made["standing"]["spent"] == made["standing"]["reserved"] == 0
    path = f"/v1/budgets/{budget['id']}"
    assert (await house.ask("GET", path)).json == made
    assert (await house.ask("GET", "/v1/budgets")).json == {"data": [made]}
    changed = await house.ask("PUT", path, {"name": "month", "limit": 1, "alerts": [90, 10, 90], "period": "total"})
    assert (changed.status, changed.json["budget"]["alerts"], changed.json["standing"]["resets_at"]) == (200, [10, 90], None)
    assert changed.json["budget"]["created_at"] == budget["created_at"]
    assert (await house.ask("DELETE", path)).status == 204
    for method in ("GET", "DELETE"):
        assert (await house.ask(method, path)).json["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"limit": 5}, 400, None),
        ({"name": "b"}, 400, None),
        ({"name": "b", "limit": "five"}, 400, "limit"),
        ({"name": "b", "limit": -1}, 400, "limit"),
        ({"name": "b", "limit": 10**30}, 400, "limit"),
        ({"name": "b", "limit": 5, "alerts": 80}, 400, "alerts"),
        ({"name": "b", "limit": 5, "alerts": [0]}, 400, "alerts"),
        ({"name": "b", "limit": 5, "alerts": [80.5]}, 400, "alerts[0]"),
        ({"name": "b", "limit": 5, "period": "decade"}, 400, "period"),
        ({"name": "b", "limit": 5, "subject_kind": "team"}, 400, "subject"),
        ({"name": "b\0", "limit": 5}, 400, "name"),
        ({"name": "taken", "limit": 5}, 409, "name"),
    ],
    ids=str,
)
async def test_a_wrong_budget_is_refused(tmp_path: Path, body: dict[str, Any], status: int, param: str | None) -> None:
    async with open_house(tmp_path) as house:
        await house.made("/v1/budgets", {"name": "taken", "limit": 5})
        answer = await house.ask("POST", "/v1/budgets", body)
        assert (answer.status, answer.json["error"]["param"]) == (status, param), answer.text
        assert len((await house.ask("GET", "/v1/budgets")).json["data"]) == 1


async def test_the_ledger_is_read_in_pages_and_by_row(house: House) -> None:
    await enter(house, *(ledger_row(f"call_{n}", at=AT + n, task="t" if n % 2 else None) for n in range(5)))
    first = (await house.ask("GET", "/v1/ledger?limit=2")).json
    assert ([row["id"] for row in first["data"]], first["rows"], first["amount"]) == (["call_4", "call_3"], 5, 100)
    second = (await house.ask("GET", f"/v1/ledger?limit=2&cursor={first['next_cursor']}")).json
    assert [row["id"] for row in second["data"]] == ["call_2", "call_1"]
    tasked = (await house.ask("GET", f"/v1/ledger?task=t&since={AT / 1000 + 0.002}")).json
    assert ([row["id"] for row in tasked["data"]], tasked["next_cursor"]) == (["call_3"], None)
    one = (await house.ask("GET", "/v1/ledger/call_3")).json
    assert (one["row"]["id"], one["corrections"], one["amount"]) == ("call_3", [], 20)
    for path in ("/v1/ledger/call_9", "/v1/ledger/call_3.0001"):
        assert (await house.ask("GET", path)).status == 404
    for query in ("limit=0", "limit=1001", "limit=x", "since=-1", "nonsense=1", "task=%00", "cursor=%00"):
        assert (await house.ask("GET", f"/v1/ledger?{query}")).status == 400, query


async def test_a_row_is_corrected(house: House) -> None:
    await enter(house, ledger_row("call_1"))
    made = await house.made("/v1/ledger/call_1/corrections", {"amount": 5, "reason": "invoice"})
    assert (made["id"], made["amount"], made["corrects"], made["reason"]) == ("call_1.0001", -15, "call_1", "invoice")
    one = (await house.ask("GET", "/v1/ledger/call_1")).json
    assert (one["amount"], [c["id"] for c in one["corrections"]]) == (5, ["call_1.0001"])
    for body, param in (
        ({"amount": 5, "reason": "same"}, "amount"),
        ({"amount": "x", "reason": "r"}, "amount"),
        ({"amount": 10**16, "reason": "r"}, "amount"),
        ({"amount": 1, "reason": ""}, "reason"),
    ):
        answer = await house.ask("POST", "/v1/ledger/call_1/corrections", body)
        assert (answer.status, answer.json["error"]["param"]) == (400, param)
    assert (await house.ask("POST", "/v1/ledger/call_1.0001/corrections", {"amount": 1, "reason": "r"})).status == 400


async def test_the_export_is_csv_that_no_spreadsheet_runs(house: House) -> None:
    await enter(house, ledger_row("call_1", model="=cmd|'/c calc'!A1", task='a,"b"\r\nc', labels={"x": "y"}), ledger_row("call_2"))
    answer = await house.ask("GET", "/v1/ledger/export")
    assert (answer.status, answer.headers["content-type"], answer.headers["x-penstock-rows"]) == (200, "text/csv; charset=utf-8", "2")
    assert answer.headers["content-disposition"] == 'attachment; filename="ledger.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["id"] for row in rows] == ["call_2", "call_1"]
    assert (rows[1]["model"], rows[1]["task"]) == ("'=cmd|'/c calc'!A1", 'a,"b"\r\nc')
    assert (rows[0]["amount_micros"], rows[0]["input_tokens"], rows[0]["at_ms"], rows[0]["estimated"]) == ("20", "10", str(AT), "False")


async def test_spending_and_prices(house: House) -> None:
    await enter(house, ledger_row("call_1", model="a"), ledger_row("call_2", model="b", usage=Usage(input=100)))
    spent = (await house.ask("GET", "/v1/spend?group=model")).json
    assert [(row["group"], row["amount"]) for row in spent["data"]] == [("b", 100), ("a", 20)]
    assert (spent["group"], spent["amount"], spent["others"]) == ("model", 120, None)
    assert (await house.ask("GET", "/v1/spend")).json["group"] == "task"
    assert (await house.ask("GET", "/v1/spend?group=colour")).json["error"]["param"] == "group"
    price = (await house.ask("GET", "/v1/prices?provider=own&model=m")).json
    assert (price["source"], price["prices"]["input"], price["prices"]["output"]) == ("settings", 2_000_000, 4_000_000)
    assert (await house.ask("GET", "/v1/prices?provider=nobody&model=nothing")).json["prices"] is None
    assert (await house.ask("GET", "/v1/prices?provider=own")).status == 400


async def test_reading_needs_one_scope_and_changing_another(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await enter(house, ledger_row("call_1"))
        reader, _ = await house.key(scopes=["read"])
        caller, _ = await house.key(scopes=["call"])
        reads = ("/v1/budgets", "/v1/ledger", "/v1/ledger/export", "/v1/spend", "/v1/prices?provider=p&model=m")
        for path in reads:
            assert (await house.ask("GET", path, key=reader)).status == 200
            assert (await house.ask("GET", path, key=caller)).status == 403
            assert (await house.ask("GET", path, key="")).status == 401
        budget = {"name": "b", "limit": 1}
        for path, body in (("/v1/budgets", budget), ("/v1/ledger/call_1/corrections", {"amount": 1, "reason": "r"})):
            assert (await house.ask("POST", path, body, key=reader)).status == 403


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(model=cells, task=cells, reason=cells)
def test_every_cell_is_read_back_and_none_begins_a_formula(model: str, task: str, reason: str) -> None:
    rows = [entry(ledger_row("call_1", model=model, task=task, reason=reason)), entry(ledger_row("call_2"))]
    heading, first, second = csv.reader(io.StringIO(as_csv(rows), newline=""))
    assert len(heading) == len(first) == len(second) == 21
    for name, text in (("model", model), ("task", task), ("reason", reason)):
        cell = first[heading.index(name)]
        assert cell in (text, "'" + text)
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
