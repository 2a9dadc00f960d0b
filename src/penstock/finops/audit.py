"""A second opinion on the ledger: every amount computed again from what the row itself says."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from penstock.finops.money import UnitPrices, amount
from penstock.finops.settings import FinopsSettings
from penstock.finops.tables import LEDGER, SPOOL
from penstock.kernel.call import Usage
from penstock.kernel.errors import StorageError
from penstock.settings import ServerSettings, StorageSettings, load
from penstock.storage.records import open_records
from penstock.storage.spool import SpoolFolder, damaged_files


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: rows looked at, a line for each fault, and what is journalled but not in the database yet.

    ``waiting`` counts rows in spools that no process holds, ``held`` spools of running processes, ``damaged`` files that cannot be read.
    """

    checked: int
    faults: list[str]
    waiting: int
    held: int
    damaged: int


def verify_ledger(config: Path | None) -> Audit:
    """Compute every amount again from the row's tokens and frozen prices, follow corrections, and look into the spools.

    Changes nothing: what waits in the spool of a dead process is moved by the next start.
    """
    settings = load({"finops": FinopsSettings}, file=config, others=True)
    folder = Path(settings.of(ServerSettings).data_dir)
    records = open_records(settings.of(StorageSettings).records, folder)
    try:
        with records.snapshot() as connection:
            checked, faults = _rows(connection)
    finally:
        records.close()
    waiting = held = 0
    root = folder / SPOOL
    for place in sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else ():
        try:
            spool = SpoolFolder(place)
        except StorageError:
            held += 1
            continue
        try:
            batch = spool.pending()
            waiting += len(batch.entries) if batch is not None else 0
        finally:
            spool.close()
    damaged = damaged_files(root)
    faults += [f"{file}: a journal file that cannot be read in full" for file in damaged]
    return Audit(checked=checked, faults=faults, waiting=waiting, held=held, damaged=len(damaged))


def _rows(connection: Connection) -> tuple[int, list[str]]:
    checked = 0
    faults: list[str] = []
    asked = select(LEDGER.c.id, LEDGER.c.usage, LEDGER.c.prices, LEDGER.c.amount, LEDGER.c.corrects)
    for row in connection.execute(asked):
        checked += 1
        if row.corrects is not None:
            continue
        prices = msgspec.json.decode(row.prices, type=UnitPrices) if row.prices is not None else None
        should = amount(prices, msgspec.json.decode(row.usage, type=Usage)) if prices is not None else 0
        if should != row.amount:
            faults.append(f"{row.id}: {row.amount} on the ledger, {should} by its prices")
    known = LEDGER.alias("known")
    lost = select(LEDGER.c.id, LEDGER.c.corrects).outerjoin(known, known.c.id == LEDGER.c.corrects)
    for row in connection.execute(lost.where(LEDGER.c.corrects.is_not(None), known.c.id.is_(None))):
        faults.append(f"{row.id}: corrects {row.corrects}, which is not on the ledger")
    return checked, faults
