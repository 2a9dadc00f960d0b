"""LanceDB: a Lance table, asked through DataFusion and DuckDB; words by Lance's own inverted index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import lance
import msgspec
import pyarrow as pa
from lance.query import FullTextOperator, MatchQuery

from benchmarks.telemetry.candidates.candidate import Question
from benchmarks.telemetry.candidates.duck import _INTS, Duck
from penstock.storage.telemetry.span import FIELDS, Span

_decode = msgspec.json.Decoder(Span).decode_lines
_SCHEMA = pa.schema([(n, pa.int64() if n in _INTS else pa.bool_() if n == "flagged" else pa.string()) for n in FIELDS])
_PAYLOADS = pa.schema([("span_id", pa.string()), ("start_ns", pa.int64()), ("text", pa.string())])


class Lance:
    def open(self, folder: Path) -> None:
        self.path, self.payloads = str(folder / "spans.lance"), str(folder / "payloads.lance")
        if not Path(self.path).exists():
            lance.write_dataset(pa.Table.from_pylist([], _SCHEMA), self.path)
            lance.write_dataset(pa.Table.from_pylist([], _PAYLOADS), self.payloads)

    def ingest(self, file: Path) -> None:
        spans = _decode(file.read_bytes())
        lance.write_dataset(pa.table({n: [getattr(s, n) for s in spans] for n in FIELDS}, schema=_SCHEMA), self.path, mode="append")
        held = [s for s in spans if s.payload is not None]
        texts = [f"{s.payload.input} {s.payload.output}" for s in held if s.payload is not None]
        table = pa.table({"span_id": [s.span_id for s in held], "start_ns": [s.start_ns for s in held], "text": texts}, schema=_PAYLOADS)
        lance.write_dataset(table, self.payloads, mode="append")

    def ready(self) -> None:
        for path in (self.path, self.payloads):
            data = lance.dataset(path)
            data.optimize.compact_files()
            data.cleanup_old_versions()
        lance.dataset(self.path).create_scalar_index("trace_id", "BTREE")
        lance.dataset(self.payloads).create_scalar_index("text", "INVERTED")

    def reader(self) -> Any:
        return duckdb.connect()

    def ask(self, reader: Any, name: str, q: Question, turn: int) -> int:
        data = lance.dataset(self.path)
        if name == "trace":
            return data.to_table(filter=f"trace_id = '{q.traces[turn % len(q.traces)]}'").num_rows
        if name == "search":
            found = data.to_table(
                columns=["trace_id", "span_id", "start_ns"],
                filter=f"organisation = '{q.organisation}' AND status = 'failed' AND task = 'summarise-ticket'",
            )
            return found.sort_by([("start_ns", "descending")]).slice(0, 50).num_rows
        if name == "text":
            wanted = MatchQuery(q.words[turn % len(q.words)], "text", operator=FullTextOperator.AND)
            texts = lance.dataset(self.payloads).to_table(columns=["span_id"], full_text_query=wanted, limit=2000)
            ids = ", ".join(f"'{i}'" for i in texts["span_id"].to_pylist()) or "''"
            return data.to_table(filter=f"span_id IN ({ids}) AND organisation = '{q.organisation}'").num_rows
        columns = [
            "organisation",
            "start_ns",
            "end_ns",
            "status",
            "input_tokens",
            "output_tokens",
            "cost_micros",
            "model",
            "task",
            "session",
            "trace_id",
            "kind",
        ]
        since, until = (q.hour, q.hour + 3600 * 10**9) if name == "hour" else (q.since, q.until)
        wanted = f"organisation = '{q.organisation}' AND start_ns >= {since} AND start_ns <= {until}"
        table = data.to_table(columns=columns, filter=wanted)
        asked = Duck()
        asked.spans = "found"
        reader.register("found", table)
        return asked.ask((reader, None), name, q, turn)

    def count(self) -> int:
        return lance.dataset(self.path).count_rows()

    def close(self) -> None:
        pass
