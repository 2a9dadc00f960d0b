"""chDB: ClickHouse's engine in the process, a MergeTree, with its own index of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chdb.session import Session

from benchmarks.telemetry.candidates.candidate import Question
from benchmarks.telemetry.candidates.duck import _INTS
from penstock.storage.telemetry.span import FIELDS

_LOW = {
    "kind", "name", "status", "organisation", "team", "project", "person", "key", "service", "release", "environment", "task", "agent",
    "tool", "operation", "provider", "model", "answered", "currency", "error_code", "message", "verdict", "source", "prompt",
}  # fmt: skip


def kind(name: str) -> str:
    """The column's type."""
    if name == "trace_id":
        return "FixedString(16)"
    if name in ("span_id", "parent_id"):
        return "UInt64"
    if name in _INTS:
        return "Int64" if name in ("start_ns", "end_ns") else "Nullable(Int64)"
    return "Bool" if name == "flagged" else "LowCardinality(String)" if name in _LOW else "String CODEC(ZSTD(1))"


class Chdb:
    def open(self, folder: Path) -> None:
        self.s = Session(str(folder / "ch"))
        self.s.query("CREATE DATABASE IF NOT EXISTS t ENGINE = Atomic")
        columns = ", ".join(f"{n} {kind(n)}" for n in FIELDS)
        self.s.query(
            f"CREATE TABLE IF NOT EXISTS t.spans ({columns}, INDEX by_trace trace_id TYPE bloom_filter GRANULARITY 1) ENGINE = MergeTree "
            "PARTITION BY intDiv(start_ns, 604800000000000) ORDER BY (organisation, start_ns)"
        )
        self.s.query(
            "CREATE TABLE IF NOT EXISTS t.payloads (trace_id FixedString(16), span_id UInt64, start_ns Int64, input String CODEC(ZSTD(3)), output String CODEC(ZSTD(3)), "
            "INDEX words lower(concat(input, ' ', output)) TYPE tokenbf_v1(8192, 3, 0) GRANULARITY 1) ENGINE = MergeTree ORDER BY start_ns SETTINGS index_granularity = 256"
        )

    def ingest(self, file: Path) -> None:
        shape = ", ".join(
            f"{n} {'Int64' if n in ('start_ns', 'end_ns') else 'Nullable(Int64)' if n in _INTS else 'Bool' if n == 'flagged' else 'String'}"
            for n in FIELDS
        )
        source = f"file('{file}', 'JSONEachRow', '{shape}, payload Tuple(input String, output String)')"

        def value(n: str) -> str:
            if n == "trace_id":
                return "unhex(trace_id)"
            if n in ("span_id", "parent_id"):
                return f"reinterpretAsUInt64(reverse(unhex({n})))"
            return f"if({n} = '', 'ok', {n})" if n == "status" else n

        self.s.query(f"INSERT INTO t.spans SELECT {', '.join(value(n) for n in FIELDS)} FROM {source}")
        self.s.query(
            f"INSERT INTO t.payloads SELECT unhex(trace_id), reinterpretAsUInt64(reverse(unhex(span_id))), start_ns, payload.input, payload.output FROM {source} WHERE payload.input <> ''"
        )

    def ready(self) -> None:
        self.s.query("OPTIMIZE TABLE t.spans FINAL")
        self.s.query("OPTIMIZE TABLE t.payloads FINAL")

    def reader(self) -> Any:
        return self.s

    def ask(self, reader: Any, name: str, q: Question, turn: int) -> int:
        org = q.organisation
        sums = "count(), countIf(status = 'failed'), sum(input_tokens), sum(output_tokens), sum(cost_micros), quantilesTDigest(0.5, 0.95, 0.99)((end_ns - start_ns) / 1e6)"
        columns = ", ".join(
            "hex(trace_id)" if n == "trace_id" else n for n in FIELDS if n not in ("attributes", "events", "links", "resource")
        )
        if name == "health":
            step = (q.until - q.since) // 60
            sql = f"SELECT intDiv(start_ns - {q.since}, {step}) AS at, model, {sums} FROM t.spans WHERE organisation = '{org}' AND kind = 'call' AND start_ns BETWEEN {q.since} AND {q.until} GROUP BY at, model"
        elif name == "hour":
            sql = f"SELECT intDiv(start_ns - {q.hour}, 60000000000) AS at, {sums} FROM t.spans WHERE organisation = '{org}' AND start_ns BETWEEN {q.hour} AND {q.hour + 3600 * 10**9} GROUP BY at"
        elif name == "search":
            sql = f"SELECT {columns} FROM t.spans WHERE organisation = '{org}' AND status = 'failed' AND task = 'summarise-ticket' ORDER BY start_ns DESC LIMIT 50"
        elif name == "trace":
            sql = f"SELECT hex(trace_id), * EXCEPT trace_id FROM t.spans WHERE trace_id = unhex('{q.traces[turn % len(q.traces)]}')"
        elif name == "top":
            sql = f"SELECT task, model, {sums} FROM t.spans WHERE organisation = '{org}' GROUP BY task, model ORDER BY 3 DESC LIMIT 50"
        elif name == "threads":
            sql = f"SELECT session, min(start_ns), max(end_ns) AS last, uniqExact(trace_id), count(), sum(cost_micros) FROM t.spans WHERE organisation = '{org}' AND session <> '' GROUP BY session ORDER BY last DESC LIMIT 50"
        else:
            wanted = " AND ".join(f"hasToken(lower(concat(input, ' ', output)), '{word}')" for word in q.words[turn % len(q.words)].split())
            sql = f"SELECT {columns} FROM t.spans WHERE organisation = '{org}' AND (start_ns, span_id) IN (SELECT start_ns, span_id FROM t.payloads WHERE {wanted} ORDER BY start_ns DESC LIMIT 2000) ORDER BY start_ns DESC LIMIT 50"
        return len(reader.query(sql, "CSV").bytes().splitlines())

    def count(self) -> int:
        return int(self.s.query("SELECT count() FROM t.spans", "CSV").bytes())

    def close(self) -> None:
        self.s.close()
