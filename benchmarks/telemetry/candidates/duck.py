"""DuckDB in one file, with SQLite FTS5 for the words; `DuckParquet` seals what is in to Parquet, a file a day."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.telemetry.candidates.candidate import Question
from penstock.storage.telemetry.span import FIELDS

_INTS = {"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_micros", "first_token_ns", "start_ns", "end_ns"}


def kind(name: str) -> str:
    """The column's type as it is stored."""
    if name == "trace_id":
        return "UUID"
    if name in ("span_id", "parent_id"):
        return "UBIGINT"
    return "BIGINT" if name in _INTS else "BOOLEAN" if name == "flagged" else "VARCHAR"


def read(file: Path, tail: str = "") -> str:
    """SQL that reads a file of spans."""
    columns = {n: "BIGINT" if n in _INTS else "BOOLEAN" if n == "flagged" else "VARCHAR" for n in FIELDS}
    columns["payload"] = "STRUCT(input VARCHAR, output VARCHAR)"
    shown = ", ".join(f"{n}: '{t}'" for n, t in columns.items())
    return f"read_json('{file}', format='newline_delimited', columns={{{shown}}}){tail}"


def _value(name: str) -> str:
    if name == "trace_id":
        return "trace_id::UUID"
    if name in ("span_id", "parent_id"):
        return f"('0x' || {name})::UBIGINT"
    return f"coalesce({name}, 'span')" if name == "kind" else f"coalesce({name}, 'ok')" if name == "status" else name


class Duck:
    """The native file."""

    spans = "spans"
    payloads = "payloads"

    def open(self, folder: Path) -> None:
        self.folder = folder
        self.con = duckdb.connect(
            str(folder / "t.duckdb"), config={"checkpoint_threshold": "2GB", "memory_limit": "2GB", "preserve_insertion_order": True}
        )
        self.con.execute(f"CREATE TABLE IF NOT EXISTS spans ({', '.join(f'{n} {kind(n)}' for n in FIELDS)})")
        self.con.execute(
            "CREATE TABLE IF NOT EXISTS payloads (id BIGINT, trace_id UUID, span_id UBIGINT, start_ns BIGINT, input VARCHAR USING COMPRESSION zstd, output VARCHAR USING COMPRESSION zstd)"
        )
        self.con.execute("CREATE SEQUENCE IF NOT EXISTS payload_ids")
        self.writer = self.con.cursor()
        self.words = sqlite3.connect(folder / "words.db", check_same_thread=False, isolation_level=None)
        self.words.execute("PRAGMA journal_mode=WAL")
        self.words.execute("PRAGMA synchronous=NORMAL")
        self.words.execute("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='', columnsize=0, detail=full)")
        self.words.execute("CREATE TABLE IF NOT EXISTS upto (id INTEGER)")
        self.indexed = self.words.execute("SELECT coalesce(max(id), 0) FROM upto").fetchone()[0]

    def ingest(self, file: Path) -> None:
        w = self.writer
        w.execute("BEGIN")
        w.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS SELECT * FROM {read(file)}")
        w.execute(f"INSERT INTO spans SELECT {', '.join(_value(n) for n in FIELDS)} FROM fresh")
        w.execute(
            "INSERT INTO payloads SELECT nextval('payload_ids'), trace_id::UUID, ('0x' || span_id)::UBIGINT, start_ns, payload.input, payload.output FROM fresh WHERE payload IS NOT NULL"
        )
        w.execute("COMMIT")
        rows = w.execute("SELECT id, input || ' ' || output FROM payloads WHERE id > ?", [self.indexed]).fetchall()
        if rows:
            self.words.execute("BEGIN")
            self.words.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", rows)
            self.words.execute("INSERT INTO upto VALUES (?)", [rows[-1][0]])
            self.words.execute("COMMIT")
            self.indexed = rows[-1][0]

    def ready(self) -> None:
        self.con.execute("CHECKPOINT")

    def reader(self) -> Any:
        return self.con.cursor(), sqlite3.connect(self.folder / "words.db", check_same_thread=False)

    def ask(self, reader: Any, name: str, q: Question, turn: int) -> int:
        con, words = reader
        org = q.organisation
        quantiles = "approx_quantile((end_ns - start_ns) / 1e6, [0.5, 0.95, 0.99])"
        sums = f"count(*), count(*) FILTER (WHERE status = 'failed'), sum(input_tokens), sum(output_tokens), sum(cost_micros), {quantiles}"
        if name == "health":
            step = (q.until - q.since) // 60
            sql = f"SELECT (start_ns - {q.since}) // {step}, model, {sums} FROM {self.spans} WHERE organisation = ? AND kind = 'call' AND start_ns BETWEEN {q.since} AND {q.until} GROUP BY ALL"
            return len(con.execute(sql, [org]).fetchall())
        if name == "hour":
            sql = f"SELECT (start_ns - {q.hour}) // 60000000000, {sums} FROM {self.spans} WHERE organisation = ? AND start_ns BETWEEN {q.hour} AND {q.hour + 3600 * 10**9} GROUP BY ALL"
            return len(con.execute(sql, [org]).fetchall())
        columns = ", ".join(n for n in FIELDS if n not in ("attributes", "events", "links", "resource"))
        if name == "search":
            sql = f"SELECT {columns} FROM {self.spans} WHERE organisation = ? AND status = 'failed' AND task = 'summarise-ticket' ORDER BY start_ns DESC, span_id LIMIT 50"
            return len(con.execute(sql, [org]).fetchall())
        if name == "trace":
            return len(con.execute(f"SELECT * FROM {self.spans} WHERE trace_id = ?::UUID", [q.traces[turn % len(q.traces)]]).fetchall())
        if name == "top":
            return len(
                con.execute(
                    f"SELECT task, model, {sums} FROM {self.spans} WHERE organisation = ? GROUP BY ALL ORDER BY 3 DESC LIMIT 50", [org]
                ).fetchall()
            )
        if name == "threads":
            sql = f"SELECT session, min(start_ns), max(end_ns), count(DISTINCT trace_id), count(*), sum(cost_micros) FROM {self.spans} WHERE organisation = ? AND session <> '' GROUP BY session ORDER BY 3 DESC LIMIT 50"
            return len(con.execute(sql, [org]).fetchall())
        found = words.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT 2000", [q.words[turn % len(q.words)]]
        ).fetchall()
        if not found:
            return 0
        ids = ", ".join(str(row[0]) for row in found)
        at = con.execute(
            f"SELECT trace_id, span_id, start_ns FROM {self.payloads} WHERE id BETWEEN {found[-1][0]} AND {found[0][0]} AND id IN ({ids})"
        ).fetchall()
        spans = ", ".join(str(row[1]) for row in at)
        first, last = min(row[2] for row in at), max(row[2] for row in at)
        sql = f"SELECT {columns} FROM {self.spans} WHERE start_ns BETWEEN {first} AND {last} AND span_id IN ({spans}) AND organisation = ? ORDER BY start_ns DESC LIMIT 50"
        return len(con.execute(sql, [org]).fetchall())

    def count(self) -> int:
        return self.con.execute(f"SELECT count(*) FROM {self.spans}").fetchone()[0]  # type: ignore[index]

    def close(self) -> None:
        self.con.close()
        self.words.close()


class DuckParquet(Duck):
    """Sealed to zstd Parquet, a file a day, read where they lie; what is not sealed yet is in the native file."""

    def ready(self) -> None:
        con, folder = self.con, self.folder / "sealed"
        for table in ("spans", "payloads"):
            (folder / table).mkdir(parents=True, exist_ok=True)
            day = 86_400 * 10**9
            first, last = con.execute(f"SELECT min(start_ns) // {day}, max(start_ns) // {day} FROM {table}").fetchone()  # type: ignore[misc]
            for number in range(first, last + 1):
                where = f"start_ns >= {number * day} AND start_ns < {(number + 1) * day}"
                con.execute(
                    f"COPY (SELECT * FROM {table} WHERE {where}) TO '{folder}/{table}/{number}.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20000)"
                )
            con.execute(f"DELETE FROM {table}")
        con.execute("CHECKPOINT")
        con.execute("SET validate_external_file_cache='NO_VALIDATION'")
        con.execute("SET parquet_metadata_cache=true")
        self.spans = f"(SELECT * FROM spans UNION ALL SELECT * FROM read_parquet('{folder}/spans/*.parquet'))"
        self.payloads = f"(SELECT * FROM payloads UNION ALL SELECT * FROM read_parquet('{folder}/payloads/*.parquet'))"
