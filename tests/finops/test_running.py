"""A process that says something else of its budgets than the ledger is found out; one at work is not accused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.finops.samples import ledger_row
from tests.house import SETTINGS, House, open_house

from penstock.finops import store
from penstock.finops.running import Comparison, compare, over_http
from penstock.kernel.errors import Forbidden, RequestError, Unauthenticated, Unavailable
from penstock.storage.records import Records


async def look(house: House, patience: float = 0.0, key: str | None = None) -> Comparison:
    ask = over_http(house.url, house.admin if key is None else key)
    return await asyncio.to_thread(compare, house.app.ports.get(Records), ask, patience)


async def enter(house: House, id: str, amount: int) -> None:
    await house.app.ports.get(Records).write(lambda connection: store.add_rows(connection, [ledger_row(id, amount=amount)]))


async def run(house: House, statement: str) -> None:
    await house.app.ports.get(Records).write(lambda connection: connection.execute(text(statement)))


EVER = {"name": "ever", "limit": 1000, "period": "total"}


async def test_what_a_process_says_of_its_budgets_is_compared(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await enter(house, "call_before", 100)
        await house.made("/v1/budgets", {**EVER, "organisation": ""})
        assert await look(house) == Comparison(1, [])
        await enter(house, "call_unseen", 7)
        assert await look(house) == Comparison(1, ["budget 'ever': the process says that 100 is spent, the ledger comes to 107"])
        await run(house, "DELETE FROM ledger")
        assert await look(house) == Comparison(1, ["budget 'ever': the process says that 100 is spent, the ledger comes to 0"])


async def test_a_process_is_given_the_time_to_take_over_what_others_spent(tmp_path: Path, postgres: str) -> None:
    async with open_house(tmp_path, f"{SETTINGS}[finops]\nbudget_refresh_seconds = 0.3\n", database=postgres) as house:
        await house.made("/v1/budgets", {**EVER, "organisation": ""})
        await enter(house, "call_other", 7)
        assert await look(house, 20.0) == Comparison(1, [])


async def test_terms_that_differ_are_told(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.finops.wiring.LOOK_SECONDS", 3600)  # or the process would soon know better
    async with open_house(tmp_path, f"{SETTINGS}[finops]\nbudget_refresh_seconds = 3600\n", database=database) as house:
        await house.made("/v1/budgets", EVER)
        await run(house, 'UPDATE budgets SET "limit" = 2000')
        assert await look(house) == Comparison(1, ["budget 'ever': the process holds other terms than the database"])
        await run(house, "DELETE FROM budgets")
        assert await look(house) == Comparison(1, ["budget 'ever': is held by the process, but not in the database"])


async def test_who_asks_needs_a_key_that_may_read(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        with pytest.raises(Unauthenticated, match="PENSTOCK_KEY"):
            await look(house, key="")
        with pytest.raises(Forbidden):
            await look(house, key=(await house.key(scopes=["call"]))[0])
        url = house.url
    with pytest.raises(Unavailable, match="does not answer"):
        over_http(url, "k")("/v1/budgets")
    with pytest.raises(RequestError, match="not the address"):
        over_http("file:///etc/passwd", "k")
