"""The database's clock is the one that leases go by."""

from __future__ import annotations

import time
from pathlib import Path

from penstock.storage.moment import moment
from penstock.storage.records import open_records


async def test_it_is_now_on_each_engine(database: str, tmp_path: Path) -> None:
    records = open_records(database, tmp_path)
    first = await records.read(moment)
    assert abs(first - time.time()) < 60
    assert await records.read(moment) >= first
    records.close()
