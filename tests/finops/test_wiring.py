"""Finops as a service of a whole installation: what a killed process left, what is told, what is measured."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.finops.samples import abandon, journal, ledger_row
from tests.house import SETTINGS, House, open_house

from penstock.finops import store
from penstock.finops.wiring import FinopsLife
from penstock.kernel.events import BudgetSpent
from penstock.kernel.ports import Metric
from penstock.storage.records import Records


def life(house: House) -> FinopsLife:
    (found,) = [service for service in house.app.offers["finops"].services if isinstance(service, FinopsLife)]
    return found


def measures(house: House) -> dict[str, Metric]:
    return {metric.name: metric for metric in life(house).metrics()}


async def test_rows_of_a_killed_process_are_on_the_ledger_before_budgets_are_counted(tmp_path: Path, database: str) -> None:
    async with open_house(tmp_path, database=database) as house:
        await house.made("/v1/budgets", {"name": "ever", "limit": 100, "period": "total", "organisation": ""})
    abandon(journal(tmp_path / "data" / "ledger", ledger_row("call_1"), ledger_row("call_2")))
    async with open_house(tmp_path, database=database) as house:
        records = house.app.ports.get(Records)
        rows = await records.read(lambda connection: store.rows(connection, [], None, 10))
        assert [row.id for row in rows] == ["call_2", "call_1"]
        (view,) = life(house).money.all_budgets()
        assert view.standing.spent == 40
        assert measures(house)["penstock_budget_used_ratio"].samples == (({"budget": "ever"}, 0.4),)


async def test_an_alert_is_told_to_whoever_reads_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_house(tmp_path) as house:
        with caplog.at_level(logging.WARNING, "penstock.finops"):
            for percent in (80, 100):
                house.app.events.publish(BudgetSpent(budget_id="budget_1", name="month", limit=100, spent=percent, percent=percent))
    said: list[Any] = [record for record in caplog.records if record.name == "penstock.finops"]
    assert [(r.message, r.budget, r.percent, r.spent) for r in said] == [
        ("budget nearly spent", "month", 80, 80),
        ("budget spent", "month", 100, 100),
    ]


async def test_damaged_journals_fail_the_check_and_name_one(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        (finding,) = await life(house).check()
        assert (finding.name, finding.status) == ("ledger", "ok")
        folder = tmp_path / "data" / "ledger" / "1-dead"
        folder.mkdir()
        (folder / "00000001.damaged").write_bytes(b"x")
        (finding,) = await life(house).check()
        assert finding.status == "fail"
        assert str(folder / "00000001.damaged") in finding.what


async def test_what_is_measured(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        found = measures(house)
        assert {name: metric.samples for name, metric in found.items()} == {
            "penstock_ledger_rows": (({}, 0),),
            "penstock_ledger_unpriced_rows": (({}, 0),),
            "penstock_ledger_spool_bytes": (({}, 0),),
            "penstock_ledger_unreadable_rows": (({}, 0),),
        }
        assert [found[name].kind for name in sorted(found)] == ["counter", "gauge", "counter", "counter"]
        await house.made("/v1/budgets", {"name": "nothing may be spent", "limit": 0})
        assert measures(house)["penstock_budget_used_ratio"].samples == (({"budget": "nothing may be spent"}, 1.0),)


async def test_a_database_that_is_gone_is_told_once_and_budgets_go_on(
    tmp_path: Path, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = f"{SETTINGS}[finops]\nbudget_refresh_seconds = 0.1\n"
    async with open_house(tmp_path, settings, database=postgres) as house:
        await house.made("/v1/budgets", {"name": "ever", "limit": 100, "period": "total"})
        records = house.app.ports.get(Records)
        rounds: asyncio.Queue[None] = asyncio.Queue()
        refresh = life(house).money.refresh

        async def counted() -> None:
            try:
                await refresh()
            finally:
                rounds.put_nowait(None)

        life(house).money.refresh = counted  # type: ignore[method-assign]

        async def three_more() -> None:
            for _ in range(rounds.qsize() + 3):
                await rounds.get()

        with caplog.at_level(logging.WARNING, "penstock.finops"):
            await records.write(lambda connection: connection.execute(text("ALTER TABLE budgets RENAME TO hidden")))
            await three_more()
            assert (await house.ask("GET", "/v1/budgets")).json["data"][0]["budget"]["name"] == "ever"
            await records.write(lambda connection: connection.execute(text("ALTER TABLE hidden RENAME TO budgets")))
            await three_more()
    said = [record.message for record in caplog.records if "budgets go on" in record.message]
    assert said == ["budgets go on with the shares that this process holds"]
