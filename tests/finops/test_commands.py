"""`penstock ledger` as a person runs it, on a folder that a Penstock has left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.finops.samples import ledger_row
from tests.house import open_house
from typer.testing import CliRunner, Result

from penstock.finops import store
from penstock.finops.commands import app
from penstock.finops.pricelist import REFRESHED_NAME, SHIPPED, read
from penstock.finops.rows import encode
from penstock.finops.snapshot import installed_version
from penstock.storage.records import Records, open_records
from penstock.storage.spool import Spool


def command(folder: Path, *words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(folder / "penstock.toml")], env=environment)


async def test_verify_says_what_it_looked_at_and_fails_when_something_is_wrong(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        records = house.app.ports.get(Records)
        await records.write(lambda connection: store.add_rows(connection, [ledger_row(f"call_{n:03d}") for n in range(200)]))
        await house.made("/v1/ledger/call_000/corrections", {"amount": 0, "reason": "free of charge"})
        await house.made("/v1/budgets", {"name": "month", "limit": 10})
    spool = Spool(tmp_path / "data" / "ledger")
    spool.hold()
    spool.append(encode(ledger_row("call_journalled")))
    sound = command(tmp_path, "verify")
    assert sound.exit_code == 0
    assert sound.output.splitlines() == [
        "1 rows are on their way from the journals of running processes",
        "201 rows checked, 1 of them corrections; 1 budgets added up; 1 journals, 1 of them in use; 0 faults",
    ]
    opened = open_records("", tmp_path / "data")
    with opened.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger SET amount = 1 WHERE id < 'call_150' AND corrects IS NULL")
    opened.close()
    broken = command(tmp_path, "verify")
    assert broken.exit_code == 1
    assert "wrong: call_001: 1 on the ledger, 20 by its prices" in broken.output
    assert broken.output.count("wrong: ") == 101
    assert "wrong: 51 more" in broken.output  # 150 rows, and the corrected one comes to less than nothing
    assert broken.output.splitlines()[-1].endswith("151 faults")
    spool.seal()
    spool.close()


async def test_verify_takes_a_running_penstock_to_task(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.made("/v1/budgets", {"name": "ever", "limit": 10, "period": "total", "organisation": ""})
        asked = ("verify", "--running", house.url)
        sound = await asyncio.to_thread(command, tmp_path, *asked, PENSTOCK_KEY=house.admin)
        assert (sound.exit_code, "1 compared with what is said at" in sound.output) == (0, True)
        await house.app.ports.get(Records).write(lambda connection: store.add_rows(connection, [ledger_row("call_unseen")]))
        wrong = await asyncio.to_thread(command, tmp_path, *asked, PENSTOCK_KEY=house.admin)
        assert wrong.exit_code == 1
        assert "wrong: budget 'ever': the process says that 0 is spent, the ledger comes to 20" in wrong.output


@pytest.mark.skipif(installed_version() is None, reason="genai-prices is not installed")
@pytest.mark.slow
@pytest.mark.timeout(60)
def test_prices_are_refreshed_from_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n')
    done = command(tmp_path, "refresh-prices")
    assert done.exit_code == 0, done.output
    made, shipped = read(tmp_path / "data" / REFRESHED_NAME), read(SHIPPED)
    assert {p.id for p in made.providers} >= {"openai", "anthropic"}
    assert made.source == shipped.source
