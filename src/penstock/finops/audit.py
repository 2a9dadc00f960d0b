"""A second opinion on the ledger: every amount computed again from what the row itself says."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import select

from penstock.finops.money import UnitPrices, amount
from penstock.finops.settings import FinopsSettings
from penstock.finops.tables import LEDGER
from penstock.kernel.call import Usage
from penstock.settings import ServerSettings, StorageSettings, load
from penstock.storage.records import open_records


def verify_ledger(config: Path | None) -> tuple[int, list[str]]:
    """Rows checked, and a line for each that is wrong: its amount is not what its tokens cost, or it has an amount without prices."""
    settings = load({"finops": FinopsSettings}, file=config, others=True)
    records = open_records(settings.of(StorageSettings).records, Path(settings.of(ServerSettings).data_dir))
    checked = 0
    wrong: list[str] = []
    try:
        with records.snapshot() as connection:
            for row in connection.execute(select(LEDGER.c.id, LEDGER.c.usage, LEDGER.c.prices, LEDGER.c.amount)):
                checked += 1
                prices = msgspec.json.decode(row.prices, type=UnitPrices) if row.prices is not None else None
                should = amount(prices, msgspec.json.decode(row.usage, type=Usage)) if prices is not None else 0
                if should != row.amount:
                    wrong.append(f"{row.id}: {row.amount} on the ledger, {should} by its prices")
    finally:
        records.close()
    return checked, wrong
