"""Making the sums of `penstock.storage.telemetry.sums` from spans, in DuckDB, within a transaction of its one writer.

A row holds what some spans added, noted with the last arrival that it knows (``upto``). More rows follow for the same hour and
dimensions, and negative ones for a person who was erased: whoever asks adds them up. So nothing is ever changed in place, and a question
that began before a summing counts each span once, by not looking at later rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.storage.telemetry.sums import ADDED, CUT_BY, CUTS, HOUR, TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PORTION = 1_000_000
"""Spans that are summed at once, but for those that arrived in the same second."""

_WHERE = ("organisation", "kind", *CUT_BY)
_TIMES = (*_WHERE, "cut", "stretch", "took", "waited")

SCHEMA = (
    *(
        f"CREATE TABLE IF NOT EXISTS {{at}}{table} (hour BIGINT, "
        + ", ".join(f"{name} {'BOOLEAN' if name == 'flagged' else 'VARCHAR'}" for name in dimensions)
        + f", {', '.join(f'{name} BIGINT' for name in ADDED)}, upto BIGINT)"
        for table, dimensions in TABLES.items()
    ),
    f"CREATE TABLE IF NOT EXISTS {{at}}times ({', '.join(f'{name} VARCHAR' for name in (*_WHERE, 'cut'))}, stretch BIGINT, "
    "took USMALLINT, waited USMALLINT, n BIGINT, upto BIGINT)",
    "CREATE TABLE IF NOT EXISTS {at}summed (upto BIGINT)",
)

_READ = tuple(dict.fromkeys([*(name for dimensions in TABLES.values() for name in dimensions), *CUT_BY]))
_COPY = (
    f"CREATE OR REPLACE TEMP TABLE summing AS SELECT {', '.join(_READ)}, start_ns // {HOUR} AS hour, took, waited, "
    f"{', '.join(f'coalesce({name}, 0) AS {name}' for name in ADDED[1:])} FROM spans WHERE "
)


def add(con: DuckDBPyConnection, after: int) -> int:
    """Sum spans that arrived later than ``after``, the first ones; up to which arrival they are now."""
    row = con.execute(
        "SELECT max(arrived) FROM (SELECT arrived FROM spans WHERE arrived > ? ORDER BY arrived LIMIT ?)", [after, PORTION]
    ).fetchone()
    if row is None or row[0] is None:
        return after
    upto = int(row[0])
    con.execute(f"{_COPY} arrived > ? AND arrived <= ?", [after, upto])
    _insert(con, 1, upto)
    con.execute("DELETE FROM summed")
    con.execute("INSERT INTO summed VALUES (?)", [upto])
    return upto


def subtract(con: DuckDBPyConnection, upto: int) -> None:
    """Take the spans of the table ``doomed``, which are about to be deleted, out of the sums that have them."""
    con.execute(
        f"{_COPY} arrived <= ? AND (organisation, trace_id, span_id) IN (SELECT (organisation, trace_id, span_id) FROM doomed)", [upto]
    )
    _insert(con, -1, upto)


def _insert(con: DuckDBPyConnection, sign: int, upto: int) -> None:
    for table, dimensions in TABLES.items():
        added = ", ".join(f"{sign} * {'count(*)' if name == 'spans' else f'sum({name})'}" for name in ADDED)
        con.execute(
            f"INSERT INTO {table} (hour, {', '.join(dimensions)}, {', '.join(ADDED)}, upto) "
            f"SELECT hour, {', '.join(dimensions)}, {added}, {upto} FROM summing GROUP BY ALL ORDER BY organisation, hour"
        )
    for cut in CUTS:
        keys = ", ".join(name if name in ("organisation", "kind", *cut.dimensions) else "''" for name in _WHERE)
        stretch = f"'{cut.name}', hour // {cut.hours} AS stretch"
        for shown, condition in (("took, NULL", "true"), ("NULL, waited", "waited IS NOT NULL")):
            con.execute(
                f"INSERT INTO times SELECT {keys}, {stretch}, {shown}, {sign} * count(*), {upto} FROM summing WHERE {condition} "
                "GROUP BY ALL ORDER BY organisation, stretch"
            )
    con.execute("DROP TABLE summing")


def copy_into(con: DuckDBPyConnection, name: str) -> None:
    """Write the sums into another database that is attached, rows of the same spans added up."""
    for table, dimensions in TABLES.items():
        added = ", ".join(f"sum({name})::BIGINT" for name in ADDED)
        con.execute(
            f"INSERT INTO {name}.{table} SELECT hour, {', '.join(dimensions)}, {added}, max(upto) FROM {table} "
            "GROUP BY ALL HAVING sum(spans) <> 0 ORDER BY organisation, hour"
        )
    con.execute(
        f"INSERT INTO {name}.times SELECT {', '.join(_TIMES)}, sum(n)::BIGINT, max(upto) FROM times GROUP BY ALL "
        "HAVING sum(n) <> 0 ORDER BY organisation, cut, stretch"
    )
    con.execute(f"INSERT INTO {name}.summed SELECT * FROM summed")


def forget(con: DuckDBPyConnection, before_ns: int, ruled: str, values: list[str | int | float]) -> None:
    """Delete what was summed of hours that ended before then, of the organisations that the condition means."""
    for table in TABLES:
        con.execute(f"DELETE FROM {table} WHERE (hour + 1) * {HOUR} <= {int(before_ns)} AND {ruled}", values)
    for cut in CUTS:
        con.execute(
            f"DELETE FROM times WHERE cut = '{cut.name}' AND (stretch + 1) * {cut.hours * HOUR} <= {int(before_ns)} AND {ruled}", values
        )
