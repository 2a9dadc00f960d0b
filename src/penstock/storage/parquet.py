"""Columns from text to Parquet and back, with the engine of the embedded telemetry store: blocking, for threads.

Texts are CSV (RFC 4180) with a heading, in UTF-8. Everything is done by an engine in memory, which reads and writes in pieces.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penstock.kernel.errors import SettingsError, StorageError, StorageFull

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["VARCHAR", "DOUBLE", "BIGINT", "TIMESTAMPTZ"]

MEMORY_MB = 256
FORMULA = r"^[=+\-@\t\r]"
"""What a spreadsheet would take for a formula."""


def parquet_from_csv(source: Path, target: Path, columns: Mapping[str, Kind]) -> None:
    """Write ``source``, whose columns are these, as ``target``, compressed with zstd. Empty cells are NULL, of texts the empty text.

    Raises `SettingsError` without the engine, `StorageError` when it cannot be done.
    """
    texts = [name for name, kind in columns.items() if kind == "VARCHAR"]
    with _engine() as engine:
        engine.execute(
            "COPY (SELECT * FROM read_csv(?, header = true, quote = '\"', escape = '\"', columns = "
            f"{_struct(columns)}, force_not_null = {_list(texts)})) TO {_quoted(str(target))} (FORMAT parquet, COMPRESSION zstd)",
            [str(source)],
        )


def csv_from_parquet(source: Path, target: Path) -> None:
    """Write ``source`` as ``target``; a text that a spreadsheet would take for a formula is given an apostrophe in front.

    Raises as `parquet_from_csv` does.
    """
    with _engine() as engine:
        columns = [(str(row[0]), str(row[1])) for row in engine.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(source)]).fetchall()]
        shown = ", ".join(_harmless(name) if kind == "VARCHAR" else _name(name) for name, kind in columns)
        engine.execute(f"COPY (SELECT {shown} FROM read_parquet({_quoted(str(source))})) TO {_quoted(str(target))} (FORMAT csv, HEADER)")


@contextmanager
def _engine() -> Generator[DuckDBPyConnection]:
    try:
        import duckdb  # an extra, and 30 MB
    except ModuleNotFoundError as fault:
        raise SettingsError("Parquet needs the extra `telemetry`: pip install 'penstock[telemetry]'", param="format") from fault
    try:
        with duckdb.connect(":memory:", config={"memory_limit": f"{MEMORY_MB}MB", "threads": 1}) as engine:
            yield engine
    except duckdb.Error as fault:
        said = " ".join(str(fault).split())[:300]
        kind = StorageFull if "No space left" in said else StorageError
        raise kind(f"the file could not be made: {said}") from fault


def _harmless(name: str) -> str:
    column = _name(name)
    return f"CASE WHEN regexp_matches({column}, {_quoted(FORMULA)}) THEN '''' || {column} ELSE {column} END AS {column}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(name) for name in names) + "]"


def _struct(columns: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in columns.items()) + "}"
