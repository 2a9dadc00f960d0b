"""Readings and spans as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.observability.health.conftest import FROM, HOUR

from penstock.kernel.errors import RequestError
from penstock.kernel.measures import Reading
from penstock.observability.health import files
from penstock.observability.health.files import as_csv, readings_file, spans_file
from penstock.storage.parquet import csv_from_parquet
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.store import TelemetryStore

ROWS = [
    ("error_rate", Reading(at=FROM, value=0.25, count=4, low=0.1, high=0.5)),
    ("error_rate", Reading(at=FROM + 0.5, value=None, count=0, group="=SUM(A1)")),
]


def test_one_row_for_each_reading() -> None:
    assert as_csv(ROWS).splitlines() == [
        "measure,at,group,value,low,high,count",
        "error_rate,2027-01-15T08:00:00Z,,0.25,0.1,0.5,4",
        "error_rate,2027-01-15T08:00:00.500000Z,'=SUM(A1),,,,0",
    ]


async def test_the_same_as_parquet(tmp_path: Path) -> None:
    assert (await readings_file("csv", ROWS)).startswith(b"measure,at")
    (tmp_path / "a.parquet").write_bytes(await readings_file("parquet", ROWS))
    csv_from_parquet(tmp_path / "a.parquet", tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text("utf-8").splitlines()
    assert lines[0] == "measure,at,group,value,low,high,count"
    assert lines[1].endswith(",0.25,0.1,0.5,4")
    assert lines[2].startswith("error_rate,")
    assert lines[2].endswith(",'=SUM(A1),,,,0")


@pytest.mark.asyncio(loop_scope="module")
async def test_spans_as_files_with_a_limit(store: TelemetryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = Filter(organisation="org_a", since_ns=FROM * 10**9, until_ns=(FROM + 3 * HOUR) * 10**9, equal={"kind": ("call",)})
    path, count = await spans_file(store, which, tmp_path, "csv")
    lines = path.read_text("utf-8").splitlines()
    assert count == len(lines) - 1 == 15
    assert lines[0].startswith("trace_id,span_id,")
    monkeypatch.setattr(files, "MOST_SPANS", 14)
    with pytest.raises(RequestError, match="15 spans are meant"):
        await spans_file(store, which, tmp_path, "parquet")
