"""Spans in ClickHouse, by its HTTP interface: the engine for many machines, each of which writes and asks by itself.

A batch is two inserts, payloads first, each with the batch's name as its deduplication token: the server drops those that come again.
Ids of payloads follow from their spans, so a batch that was half inserted is completed by being sent again. Erasures and retention are
mutations, which write the parts anew and are waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from penstock.kernel.errors import StorageError
from penstock.storage.telemetry import sql
from penstock.storage.telemetry.asked import Questions
from penstock.storage.telemetry.clickhouse_http import Server
from penstock.storage.telemetry.clickhouse_tables import BROUGHT, NUMBERS, SCHEMA, ClickhouseDialect, ClickhouseValues
from penstock.storage.telemetry.dialect import Dialect
from penstock.storage.telemetry.mending import mend
from penstock.storage.telemetry.questions import Condition, Facts, Filter, Group, Page, Point, Removed, Retention, Stored, Threads
from penstock.storage.telemetry.sketch import bucket_of
from penstock.storage.telemetry.span import FIELDS, Payload, Span
from penstock.storage.telemetry.words import parts

T = TypeVar("T")

THREADS = 8
_DAY_NS = 86_400 * 10**9


class ClickhouseTelemetry:
    """`penstock.storage.telemetry.store.TelemetryStore` on a server. Makes its tables at `start`."""

    def __init__(self, url: str) -> None:
        """Raises `SettingsError` for a URL that names no server; the message does not repeat it."""
        self._server = Server(url)
        self.dialect: Dialect = ClickhouseDialect()
        self.summed: int | None = None
        self._questions = Questions(self)
        self._threads = ThreadPoolExecutor(THREADS, "telemetry-clickhouse")
        self._closed = False
        self._repeated = 0
        self._unreadable = 0

    async def start(self) -> None:
        await self._on(self._make)

    def _make(self) -> None:
        for statement in SCHEMA:
            self._server.run(statement)

    async def append(self, spans: Sequence[Span], batch: str) -> None:
        if spans:
            await self._on(self._insert, spans, batch)

    def _insert(self, spans: Sequence[Span], batch: str) -> None:
        kept = [span for span in map(msgspec.structs.replace, spans) if mend(span)]
        self._unreadable += len(spans) - len(kept)
        if not kept:
            return
        known = self._known(kept)
        fresh = {(span.trace_id, span.span_id): span for span in kept if (span.trace_id, span.span_id) not in known}
        self._repeated += len(kept) - len(fresh)
        said: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        now = int(time.time())
        for span in fresh.values():
            id = _payload_id(span) if span.payload is not None else None
            if span.payload is not None:
                payload = {"id": id, "organisation": span.organisation, "person": span.person, "start_ns": span.start_ns}
                said.append({**payload, "input": span.payload.input, "output": span.payload.output})
            rows.append(_row(span, id, now))
        for table, values in (("payloads", said), ("spans", rows)):
            if values:
                self._server.run(f"INSERT INTO {table} FORMAT JSONEachRow", data=_lines(values), insert_deduplication_token=batch)

    def _known(self, spans: Sequence[Span]) -> set[tuple[str, str]]:
        first, last = min(span.start_ns for span in spans), max(span.start_ns for span in spans)
        ids = ", ".join(str(int(span.span_id, 16)) for span in spans)
        shown = f"{self.dialect.shown('trace_id')}, {self.dialect.shown('span_id')}"
        found = self.rows(f"SELECT {shown} FROM spans WHERE start_ns BETWEEN {first} AND {last} AND span_id IN ({ids})", {})
        return {(str(row[0]), str(row[1])) for row in found}

    async def flush(self) -> None:
        """Nothing to wait for: an insert that was answered can be asked about."""

    async def search(self, which: Filter, limit: int = 50, cursor: str = "") -> Page:
        return await self._on(self._questions.search, which, limit, cursor)

    async def trace(self, trace_id: str, organisation: str | None, limit: int = 5000) -> list[Stored]:
        return await self._on(self._questions.trace, trace_id, organisation, limit)

    async def payload(self, trace_id: str, span_id: str, organisation: str | None) -> Payload | None:
        return await self._on(self._questions.payload, trace_id, span_id, organisation)

    async def series(self, which: Filter, step_ns: int, by: str = "", groups: int = 12) -> list[Point]:
        return await self._on(self._questions.series, which, step_ns, by, groups)

    async def groups(self, which: Filter, by: Sequence[str], limit: int = 50) -> list[Group]:
        return await self._on(self._questions.groups, which, by, limit)

    async def threads(self, which: Filter, limit: int = 50, cursor: str = "") -> Threads:
        return await self._on(self._questions.threads, which, limit, cursor)

    async def erase(self, organisation: str, person: str) -> Removed:
        return await self._on(self._erase, organisation, person)

    def _erase(self, organisation: str, person: str) -> Removed:
        values = ClickhouseValues()
        condition = f"organisation = {values.bind(organisation)} AND person = {values.bind(person)}"
        payloads = self._delete("payloads", condition, values)
        return Removed(spans=self._delete("spans", condition, values), payloads=payloads)

    async def retain(self, rules: Sequence[Retention], now_ns: int) -> Removed:
        return await self._on(self._retain, rules, now_ns)

    def _retain(self, rules: Sequence[Retention], now_ns: int) -> Removed:
        own = [rule.organisation for rule in rules if rule.organisation is not None]
        spans = payloads = 0
        for rule in rules:
            values = ClickhouseValues()
            condition = sql.expired(rule, own, values, self.dialect, now_ns)
            payloads += self._delete("payloads", f"id IN (SELECT payload FROM spans WHERE {condition})", values)
            spans += self._delete("spans", condition, values)
            values = ClickhouseValues()
            before = now_ns - int(min(rule.payload_days, max(rule.span_days, rule.keep_days)) * _DAY_NS)
            owner = sql.ruled(rule, own, values)
            payloads += self._delete("payloads", f"start_ns < {before} AND {owner}", values)
        return Removed(spans=spans, payloads=payloads)

    def _delete(self, table: str, condition: str, values: ClickhouseValues) -> int:
        count = int(self.rows(f"SELECT count(*) FROM {table} WHERE {condition}", values.given)[0][0])
        if count:
            self._server.run(f"ALTER TABLE {table} DELETE WHERE {condition}", values.given, mutations_sync="2")
        return count

    async def export(self, which: Filter, path: Path, payloads: bool = False) -> int:
        return await self._on(self._export, which, path, payloads)

    def _export(self, which: Filter, path: Path, payloads: bool) -> int:
        values = ClickhouseValues()
        found = self.find(which.text, which.organisation, 1_000_000, None) if which.text else None
        condition = sql.where(which, values, self.dialect, found)
        inner = f"SELECT {sql.columns(FIELDS, self.dialect)}, payload FROM spans WHERE {condition} ORDER BY start_ns"
        shown = ", ".join(f"{name}_ AS {name}" for name in FIELDS)
        said = ", said.input AS input, said.output AS output" if payloads else ""
        joined = " LEFT JOIN payloads AS said ON found.payload = said.id" if payloads else ""
        count = int(self.rows(f"SELECT count(*) FROM spans WHERE {condition}", values.given)[0][0])
        unfinished = path.with_name(f".{path.name}.part")
        try:
            text = f"SELECT {shown}{said} FROM ({inner}) AS found{joined} FORMAT Parquet"
            self._server.run(text, values.given, into=unfinished, output_format_parquet_compression_method="zstd")
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return count

    async def facts(self) -> Facts:
        return await self._on(self._facts)

    def _facts(self) -> Facts:
        spans, oldest = self.rows("SELECT count(*), min(start_ns) FROM spans", {})[0]
        payloads = self.rows("SELECT count(*) FROM payloads", {})[0][0]
        return Facts(
            engine="clickhouse", spans=int(spans), payloads=int(payloads), bytes=self._bytes(), oldest_ns=int(oldest) if spans else None,
            waiting=0, repeated=self._repeated, unreadable=self._unreadable,
        )  # fmt: skip

    def _bytes(self) -> int:
        size = self.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()", {})[0][0]
        return int(size or 0)

    async def examine(self) -> Condition:
        return Condition(where=self._server.place, bytes=await self._on(self._bytes))

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self._server.close()

    def rows(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        return self._server.rows(sql, dict(values))

    @contextmanager
    def once(self, sql: str, values: ClickhouseValues) -> Generator[tuple[str, ClickhouseValues]]:
        """Asked within each question: the server is many, and nothing may be left on it."""
        yield f"({sql})", values

    def find(self, text: str, organisation: str | None, limit: int, before: int | None) -> list[int]:
        values = ClickhouseValues()
        said = "lowerUTF8(concat(input, '\\n', output))"
        wanted: list[str] = []
        for part, beginning in parts(text):
            bound = f"lowerUTF8({values.bind(part)})"
            if part.isascii() and part.isalnum() and not beginning:
                wanted.append(f"hasToken({said}, {bound})")
            else:
                # As a part of the text: a beginning stands behind no letter, a phrase is taken as it was written.
                wanted.append(f"match({said}, concat('(^|[^\\\\pL\\\\pN])', regexpQuoteMeta({bound})))")
        if organisation is not None:
            wanted.append(f"organisation = {values.bind(organisation)}")
        if before is not None:
            wanted.append(f"id < {before}")
        found = self.rows(f"SELECT id FROM payloads WHERE {' AND '.join(wanted)} ORDER BY id DESC LIMIT {limit}", values.given)
        return [int(row[0]) for row in found]

    async def _on(self, work: Callable[..., T], *values: Any) -> T:
        if self._closed:
            raise StorageError("the telemetry store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *values)


def _payload_id(span: Span) -> int:
    # Milliseconds, so that ids grow with time, and 20 bits of the span's own ids.
    own = int.from_bytes(blake2b(f"{span.trace_id}{span.span_id}".encode(), digest_size=3).digest())
    return (span.start_ns // 1_000_000) << 20 | own >> 4


def _row(span: Span, payload: int | None, now: int) -> dict[str, Any]:
    trace = span.trace_id
    row: dict[str, Any] = {name: value for name in FIELDS if (value := getattr(span, name)) is not None or name not in NUMBERS}
    row["trace_id"] = f"{trace[:8]}-{trace[8:12]}-{trace[12:16]}-{trace[16:20]}-{trace[20:]}"
    row["span_id"] = int(span.span_id, 16)
    row["parent_id"] = int(span.parent_id or "0", 16)
    row["took"] = bucket_of(span.end_ns - span.start_ns)
    row["waited"] = bucket_of(span.first_token_ns) if span.first_token_ns is not None else None
    row["payload"] = payload
    row["arrived"] = now
    return {name: row.get(name) for name in BROUGHT}


def _lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.Encoder().encode_lines(rows)
