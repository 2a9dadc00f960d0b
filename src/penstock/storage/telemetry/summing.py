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
    "CREATE TABLE IF NOT EXISTS {at}summed_by (name VARCHAR)",
)
_NAMES = (*TABLES, *(f"times by {cut.name}" for cut in CUTS))
_BEFORE = frozenset({"sums", "owner_sums", *(f"times by {name}" for name in ("", "model", "task", "release", "team", "task,model"))})
"""What was summed before the table ``summed_by`` told."""

_READ = tuple(dict.fromkeys([*(name for dimensions in TABLES.values() for name in dimensions), *CUT_BY]))
_COPY = (
    f"CREATE OR REPLACE TEMP TABLE summing AS SELECT {', '.join(_READ)}, start_ns // {HOUR} AS hour, took, waited, "
    f"{', '.join(f'coalesce({name}, 0) AS {name}' for name in ADDED[1:])} FROM spans WHERE "
)


def catch_up(con: DuckDBPyConnection) -> bool:
    """Sum by what an earlier version did not sum by, from the spans that are left of those that are in the sums; whether there was any."""
    summed = con.execute("SELECT max(upto) FROM summed").fetchone()
    upto = int(summed[0] or 0) if summed is not None else 0
    told = {str(row[0]) for row in con.execute("SELECT name FROM summed_by").fetchall()}
    fresh = [name for name in _NAMES if name not in (told or (_BEFORE if upto else told))]
    if not fresh and told:
        return False
    for name in CUT_BY:
        con.execute(f"ALTER TABLE times ADD COLUMN IF NOT EXISTS {name} VARCHAR DEFAULT ''")
    after = 0
    while fresh and after < upto:
        last = _last_of_portion(con, after, upto)
        if last is None:
            break
        con.execute(f"{_COPY} arrived > ? AND arrived <= ?", [after, last])
        # As of an arrival that is in the sums for long: who asks takes what is noted up to that.
        _insert(con, 1, upto, only=frozenset(fresh))
        after = last
    con.execute("DELETE FROM summed_by")
    con.execute("INSERT INTO summed_by SELECT unnest(?)", [list(_NAMES)])
    return bool(fresh) and upto > 0


def _last_of_portion(con: DuckDBPyConnection, after: int, upto: int | None = None) -> int | None:
    bound = f"AND arrived <= {int(upto)} " if upto is not None else ""
    row = con.execute(
        f"SELECT max(arrived) FROM (SELECT arrived FROM spans WHERE arrived > ? {bound}ORDER BY arrived LIMIT ?)", [after, PORTION]
    ).fetchone()
    return int(row[0]) if row is not None and row[0] is not None else None


def add(con: DuckDBPyConnection, after: int) -> int:
    """Sum spans that arrived later than ``after``, the first ones; up to which arrival they are now."""
    upto = _last_of_portion(con, after)
    if upto is None:
        return after
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


def _insert(con: DuckDBPyConnection, sign: int, upto: int, only: frozenset[str] | None = None) -> None:
    for table, dimensions in TABLES.items():
        if only is not None and table not in only:
            continue
        added = ", ".join(f"{sign} * {'count(*)' if name == 'spans' else f'sum({name})'}" for name in ADDED)
        con.execute(
            f"INSERT INTO {table} (hour, {', '.join(dimensions)}, {', '.join(ADDED)}, upto) "
            f"SELECT hour, {', '.join(dimensions)}, {added}, {upto} FROM summing GROUP BY ALL ORDER BY organisation, hour"
        )
    for cut in CUTS:
        if only is not None and f"times by {cut.name}" not in only:
            continue
        keys = ", ".join(name if name in ("organisation", "kind", *cut.dimensions) else "''" for name in _WHERE)
        stretch = f"'{cut.name}', hour // {cut.hours} AS stretch"
        for shown, condition in (("took, NULL", "true"), ("NULL, waited", "waited IS NOT NULL")):
            con.execute(
                f"INSERT INTO times ({', '.join(_TIMES)}, n, upto) "
                f"SELECT {keys}, {stretch}, {shown}, {sign} * count(*), {upto} FROM summing WHERE {condition} "
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
        f"INSERT INTO {name}.times ({', '.join(_TIMES)}, n, upto) "
        f"SELECT {', '.join(_TIMES)}, sum(n)::BIGINT, max(upto) FROM times GROUP BY ALL "
        "HAVING sum(n) <> 0 ORDER BY organisation, cut, stretch"
    )
    con.execute(f"INSERT INTO {name}.summed SELECT * FROM summed")
    con.execute(f"INSERT INTO {name}.summed_by SELECT * FROM summed_by")


def forget(con: DuckDBPyConnection, before_ns: int, ruled: str, values: list[str | int | float]) -> None:
    """Delete what was summed of hours that ended before then, of the organisations that the condition means."""
    for table in TABLES:
        con.execute(f"DELETE FROM {table} WHERE (hour + 1) * {HOUR} <= {int(before_ns)} AND {ruled}", values)
    for cut in CUTS:
        con.execute(
            f"DELETE FROM times WHERE cut = '{cut.name}' AND (stretch + 1) * {cut.hours * HOUR} <= {int(before_ns)} AND {ruled}", values
        )
