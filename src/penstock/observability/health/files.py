"""Readings and spans as files: CSV and Parquet."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from penstock.kernel.errors import RequestError
from penstock.kernel.measures import Reading
from penstock.storage.parquet import FORMULA, Kind, csv_from_parquet, parquet_from_csv
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.store import TelemetryStore

Format = Literal["csv", "parquet"]

MEDIA: dict[Format, str] = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

MOST_SPANS = 1_000_000
"""Spans of one file; more are refused, so that a page's button cannot fill a disk."""

COLUMNS: dict[str, Kind] = {
    "measure": "VARCHAR",
    "at": "TIMESTAMPTZ",
    "group": "VARCHAR",
    "value": "DOUBLE",
    "low": "DOUBLE",
    "high": "DOUBLE",
    "count": "BIGINT",
}
"""One row for each reading; ``at`` is the beginning of its step in UTC, an empty value means that there is nothing to tell."""

_FORMULA = re.compile(FORMULA)


def as_csv(rows: Sequence[tuple[str, Reading]], *, harmless: bool = True) -> str:
    """Readings as CSV; with ``harmless`` a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for name, one in rows:
        at = datetime.fromtimestamp(one.at, UTC).isoformat().replace("+00:00", "Z")
        group = f"'{one.group}" if harmless and _FORMULA.match(one.group) else one.group
        writer.writerow((name, at, group, one.value, one.low, one.high, one.count))
    return out.getvalue()


async def readings_file(format: Format, rows: Sequence[tuple[str, Reading]]) -> bytes:
    """Readings as a file. Raises `SettingsError` where Parquet's engine is missing, and `StorageError`."""
    if format == "csv":
        return as_csv(rows).encode()
    return await asyncio.to_thread(_parquet, rows)


def _parquet(rows: Sequence[tuple[str, Reading]]) -> bytes:
    with TemporaryDirectory(prefix="penstock-") as folder:
        source, target = Path(folder) / "readings.csv", Path(folder) / "readings.parquet"
        source.write_text(as_csv(rows, harmless=False), encoding="utf-8", newline="")
        parquet_from_csv(source, target, COLUMNS)
        return target.read_bytes()


async def spans_file(store: TelemetryStore, which: Filter, folder: Path, format: Format) -> tuple[Path, int]:
    """Write the spans into a file of the folder: where it is, and how many they are.

    Raises `RequestError` for more than `MOST_SPANS`, and what the store raises.
    """
    found = await store.groups(which, ())
    count = found[0].measures.spans if found else 0
    if count > MOST_SPANS:
        raise RequestError(
            f"{count:,} spans are meant, and a file has at most {MOST_SPANS:,}: take a shorter period or say more of them", param="since"
        )
    path = folder / "spans.parquet"
    written = await store.export(which, path)
    if format == "parquet":
        return path, written
    target = folder / "spans.csv"
    await asyncio.to_thread(csv_from_parquet, path, target)
    return target, written
