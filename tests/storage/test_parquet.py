"""Columns between CSV and Parquet, with the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.kernel.errors import StorageError
from penstock.storage.parquet import Kind, csv_from_parquet, parquet_from_csv

COLUMNS: dict[str, Kind] = {"name": "VARCHAR", "at": "TIMESTAMPTZ", "value": "DOUBLE", "count": "BIGINT"}


def test_there_and_back(tmp_path: Path) -> None:
    source, parquet, target = tmp_path / "a'b.csv", tmp_path / "a'b.parquet", tmp_path / "back.csv"
    source.write_text('name,at,value,count\n"a, ""b""",2026-11-21T10:00:00Z,0.5,3\n"",2026-11-21T11:00:00Z,,0\n', newline="")
    parquet_from_csv(source, parquet, COLUMNS)
    assert parquet.read_bytes()[:4] == b"PAR1"
    csv_from_parquet(parquet, target)
    lines = target.read_text("utf-8").splitlines()
    assert lines[0] == "name,at,value,count"
    assert lines[1].startswith('"a, ""b""",2026-11-21 1')
    assert lines[1].endswith(",0.5,3")
    assert lines[2].endswith(",,0")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@x", "\tx"])
def test_what_a_spreadsheet_would_compute_gets_an_apostrophe(tmp_path: Path, text: str) -> None:
    source, parquet, target = tmp_path / "a.csv", tmp_path / "a.parquet", tmp_path / "b.csv"
    source.write_text(f'name\n"{text}"\n"a{text}"\n', newline="")
    parquet_from_csv(source, parquet, {"name": "VARCHAR"})
    csv_from_parquet(parquet, target)
    assert [line.strip('"') for line in target.read_text("utf-8").splitlines()] == ["name", f"'{text}", f"a{text}"]


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(StorageError, match="could not be made"):
        csv_from_parquet(tmp_path / "a.parquet", tmp_path / "b.csv")
