"""SQLite with indices on what is asked most, and FTS5 beside it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.telemetry.candidates.candidate import Question
from penstock.storage.telemetry.span import FIELDS, Span

_decode = msgspec.json.Decoder(Span).decode_lines


class Sqlite:
    def open(self, folder: Path) -> None:
        self.file = folder / "t.db"
        self.con = self._connect()
        c = self.con
        columns = ", ".join(FIELDS)
        c.execute(f"CREATE TABLE IF NOT EXISTS spans ({columns})")
        c.execute("CREATE INDEX IF NOT EXISTS by_time ON spans (organisation, start_ns)")
        c.execute("CREATE INDEX IF NOT EXISTS by_trace ON spans (trace_id)")
        c.execute("CREATE INDEX IF NOT EXISTS by_session ON spans (organisation, session)")
        c.execute("CREATE TABLE IF NOT EXISTS payloads (id INTEGER PRIMARY KEY, span INTEGER, input TEXT, output TEXT)")
        c.execute("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='', columnsize=0)")

    def _connect(self) -> sqlite3.Connection:
        con = sqlite3.connect(self.file, check_same_thread=False, isolation_level=None, timeout=30)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-200000", "mmap_size=2000000000"):
            con.execute(f"PRAGMA {pragma}")
        return con

    def ingest(self, file: Path) -> None:
        c = self.con
        c.execute("BEGIN IMMEDIATE")
        row = c.execute("SELECT coalesce(max(rowid), 0) FROM spans").fetchone()[0]
        spans = _decode(file.read_bytes())
        c.executemany(
            f"INSERT INTO spans VALUES ({', '.join('?' * len(FIELDS))})", [msgspec.structs.astuple(s)[: len(FIELDS)] for s in spans]
        )
        held = [(row + 1 + i, s.payload.input, s.payload.output) for i, s in enumerate(spans) if s.payload is not None]
        c.executemany("INSERT INTO payloads(id, span, input, output) VALUES (?1, ?1, ?2, ?3)", held)
        c.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", [(i, f"{a} {b}") for i, a, b in held])
        c.execute("COMMIT")

    def ready(self) -> None:
        self.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.con.execute("PRAGMA optimize")

    def reader(self) -> Any:
        return self._connect()

    def ask(self, reader: Any, name: str, q: Question, turn: int) -> int:
        org = q.organisation
        # SQLite has no quantiles: the times are fetched and sorted here, as a page would have to.
        columns = ", ".join(n for n in FIELDS if n not in ("attributes", "events", "links", "resource"))
        if name in ("health", "hour", "top"):
            step = (q.until - q.since) // 60 if name == "health" else 60 * 10**9
            since, until = (q.hour, q.hour + 3600 * 10**9) if name == "hour" else (q.since, q.until)
            by = "task, model" if name == "top" else f"(start_ns - {since}) / {step}, " + ("model" if name == "health" else "''")
            kind = "AND kind = 'call'" if name == "health" else ""
            rows = reader.execute(
                f"SELECT {by}, status = 'failed', input_tokens, output_tokens, cost_micros, end_ns - start_ns FROM spans WHERE organisation = ? {kind} AND start_ns BETWEEN ? AND ?",
                [org, since, until],
            )
            groups: dict[tuple[Any, Any], list[Any]] = {}
            for row in rows:
                group = groups.setdefault(row[:2], [0, 0, 0, 0, 0, []])
                group[0] += 1
                group[1] += row[2]
                group[2] += row[3] or 0
                group[3] += row[4] or 0
                group[4] += row[5] or 0
                group[5].append(row[6])
            for group in groups.values():
                group[5].sort()
            return len(groups)
        if name == "search":
            sql = f"SELECT {columns} FROM spans WHERE organisation = ? AND status = 'failed' AND task = 'summarise-ticket' ORDER BY start_ns DESC LIMIT 50"
            return len(reader.execute(sql, [org]).fetchall())
        if name == "trace":
            return len(reader.execute("SELECT * FROM spans WHERE trace_id = ?", [q.traces[turn % len(q.traces)]]).fetchall())
        if name == "threads":
            sql = "SELECT session, min(start_ns), max(end_ns) AS last, count(DISTINCT trace_id), count(*), sum(cost_micros) FROM spans WHERE organisation = ? AND session <> '' GROUP BY session ORDER BY last DESC LIMIT 50"
            return len(reader.execute(sql, [org]).fetchall())
        sql = f"SELECT {columns} FROM spans WHERE rowid IN (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT 2000) AND organisation = ? ORDER BY start_ns DESC LIMIT 50"
        return len(reader.execute(sql, [q.words[turn % len(q.words)], org]).fetchall())

    def count(self) -> int:
        return self.con.execute("SELECT count(*) FROM spans").fetchone()[0]

    def close(self) -> None:
        self.con.close()
