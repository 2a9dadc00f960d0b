"""Spans in DuckDB: one file, columns compressed each in its own way, asked by a few threads while one stores.

One process at a time has it open, for reading too; `penstock.storage.telemetry.embedded` sees to that. A checkpoint stalls commits for
some tenths of a second; nobody notices, since a batch is safe in the inbox before it comes here. Keeping the log short keeps opening
after a crash short.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.kernel.errors import SettingsError, StorageError, StorageFull
from penstock.storage.telemetry import summing
from penstock.storage.telemetry.inbox import Waiting
from penstock.storage.telemetry.sketch import bucket_sql
from penstock.storage.telemetry.span import FIELDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILE = "spans.duckdb"
READERS = 2
LOG = "32MB"
"""Longest log. After a crash it is read before the first answer, which takes 0.3 s of CPU; a shorter one saves nothing more."""

KNOWN_SECONDS = 300
"""For how long a span that was stored is told apart from one that comes again in another batch."""

BATCH_SECONDS = 2 * 86_400
"""For how long names of batches are remembered."""

_NUMBERS = frozenset(
    {"start_ns", "end_ns", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_micros", "first_token_ns"}
)
_DEFAULTS = {"kind": "'span'", "status": "'ok'"}
_READ = {name: "BIGINT" if name in _NUMBERS else "BOOLEAN" if name == "flagged" else "VARCHAR" for name in FIELDS}
_STORED = {**_READ, "trace_id": "UUID", "span_id": "UBIGINT", "parent_id": "UBIGINT"}
_DENSE = frozenset({"attributes", "events", "links"})

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS {at}spans ("
    + ", ".join(f"{name} {kind}{' USING COMPRESSION zstd' if name in _DENSE else ''}" for name, kind in _STORED.items())
    + ", took USMALLINT, waited USMALLINT, payload BIGINT, arrived BIGINT)",
    "CREATE TABLE IF NOT EXISTS {at}payloads (id BIGINT, organisation VARCHAR, start_ns BIGINT, "
    "input VARCHAR USING COMPRESSION zstd, output VARCHAR USING COMPRESSION zstd)",
    "CREATE TABLE IF NOT EXISTS {at}batches (batch VARCHAR, stored BIGINT)",
    "CREATE TABLE IF NOT EXISTS {at}ids (payload BIGINT)",
    *summing.SCHEMA,
)
_COPIED = ("spans", "payloads", "batches")


def _value(name: str) -> str:
    match name:
        case "trace_id":
            return "trace_id::UUID AS trace_id"
        case "span_id":
            return "('0x' || span_id)::UBIGINT AS span_id"
        case "parent_id":
            return "CASE WHEN parent_id IS NULL OR parent_id = '' THEN 0 ELSE ('0x' || parent_id)::UBIGINT END AS parent_id"
        case _ if name in _NUMBERS:
            return name
        case "flagged":
            return "coalesce(flagged, false) AS flagged"
        case _:
            return f"coalesce({name}, {_DEFAULTS.get(name, chr(39) * 2)}) AS {name}"


_FRESH = (
    f"SELECT {', '.join(_value(name) for name in FIELDS)}, {bucket_sql('(end_ns - start_ns)')}::USMALLINT AS took, "
    f"{bucket_sql('first_token_ns')}::USMALLINT AS waited, "
    "CASE WHEN payload IS NULL THEN NULL ELSE ? + row_number() OVER () END AS payload, ? AS arrived, "
    "payload.input AS input, payload.output AS output "
    f"FROM read_json(?, format = 'newline_delimited', maximum_object_size = @LARGEST@, columns = {{"
    f"{', '.join(f'{name}: {chr(39)}{kind}{chr(39)}' for name, kind in _READ.items())}, "
    "payload: 'STRUCT(input VARCHAR, output VARCHAR)'})"
)
_SAME = "trace_id, span_id, organisation"
"""What a span has in common with itself when it comes again. Ids are the senders': two organisations may have the same ones."""

_COLUMNS = ", ".join([*FIELDS, "took", "waited", "payload", "arrived"])


def _cores() -> int:
    """How many this process may run on: with two threads on one core, storing takes a seventh more of it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class DuckValues:
    """The values of one statement, in order."""

    def __init__(self) -> None:
        self.given: list[str | int | float] = []

    def bind(self, value: str | int | float) -> str:
        self.given.append(value)
        return f"${len(self.given)}"


class DuckDialect:
    """DuckDB's words; see `penstock.storage.telemetry.dialect`."""

    def values(self) -> DuckValues:
        return DuckValues()

    def trace(self, bound: str) -> str:
        return f"{bound}::UUID"

    def span(self, bound: str) -> str:
        return f"('0x' || {bound})::UBIGINT"

    def shown(self, column: str) -> str:
        match column:
            case "trace_id":
                return "replace(trace_id::VARCHAR, '-', '')"
            case "span_id":
                return "lower(lpad(to_hex(span_id), 16, '0'))"
            case "parent_id":
                return "CASE WHEN parent_id = 0 THEN '' ELSE lower(lpad(to_hex(parent_id), 16, '0')) END"
            case _:
                return column

    def whole(self, number: str, by: int) -> str:
        return f"({number} // {int(by)})"

    def attribute(self, column: str, path: str) -> str:
        return f"coalesce(json_extract_string(nullif({column}, ''), '$.\"' || replace({path}, '\"', '') || '\"'), '')"

    def gathered(self, number: str) -> str:
        return f"list(({number})::BIGINT)"

    def one_of(self, column: str, numbers: Sequence[int]) -> str:
        # As a join: a list of a hundred is gone through for each span.
        return f"{column} IN (SELECT unnest([{', '.join(str(int(one)) for one in numbers)}]::BIGINT[]))"

    def first(self, columns: str, condition: str, order: str, limit: int) -> str:
        # They are found by what the order and the condition need, and the other columns read of these few.
        few = f"SELECT rowid FROM spans WHERE {condition} ORDER BY {order} LIMIT {int(limit)}"
        return f"SELECT {columns} FROM spans WHERE rowid IN ({few}) ORDER BY {order}"

    def digest(self, text: str) -> str:
        return f"md5({text})"


class Duck:
    """The file, open. Methods block; `write` is for one thread at a time, `rows` for any. Raises `StorageError` and `StorageFull`."""

    def __init__(self, folder: Path, *, memory_mb: int = 1024, threads: int = 0) -> None:
        """Opens or makes the file. Raises `SettingsError` when DuckDB is not installed, `StorageError` when another process has it open."""
        self.path = folder / FILE
        self.dialect = DuckDialect()
        self._config: dict[str, Any] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": threads or min(4, _cores()),
            "checkpoint_threshold": LOG,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
            "storage_compatibility_version": "latest",
        }
        self._permits = threading.Semaphore(READERS)
        self._local = threading.local()
        self._generation = 0
        self.broken = False
        self._whole = self.path.with_name("storing.jsonl")
        self._fresh = self.path.with_suffix(".fresh")
        for left in (self._fresh, self._whole):
            left.unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        try:
            # DuckDB is 65 MB and takes 0.2 s to load: only the process that holds the store does.
            import duckdb
        except ImportError as fault:
            raise SettingsError(
                "storage.telemetry: DuckDB is not installed; install penstock[telemetry]", param="storage.telemetry"
            ) from fault
        self._duckdb = duckdb
        with self._faults():
            self._con: DuckDBPyConnection = duckdb.connect(str(self.path), config=self._config)
            for statement in SCHEMA:
                self._con.execute(statement.format(at=""))
        self.path.chmod(0o600)
        self.writer = self._con.cursor()
        with self.transaction() as con:
            caught_up = summing.catch_up(con)
        if caught_up:
            self.checkpoint()
        self._generation += 1
        # Ids of payloads are never used again: spans of some that have gone are still there, and the index of words goes by them.
        self.last = self._number(
            "SELECT max(used) FROM (SELECT max(payload) AS used FROM ids UNION ALL SELECT max(id) FROM payloads "
            "UNION ALL SELECT max(payload) FROM spans)"
        )
        self.summed = self._number("SELECT max(upto) FROM summed")
        self.unsummed = self._number(f"SELECT count(*) FROM spans WHERE arrived > {self.summed}")

    def _number(self, sql: str) -> int:
        row = self.writer.execute(sql).fetchone()
        return int(row[0] or 0) if row is not None else 0

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a question is answered with."""
        with self._permit(), self._faults():
            if getattr(self._local, "generation", 0) != self._generation:
                self._local.cursor, self._local.generation = self._con.cursor(), self._generation
            return self._local.cursor.execute(sql, list(values)).fetchall()

    @contextlib.contextmanager
    def once(self, sql: str, values: DuckValues) -> Generator[tuple[str, DuckValues]]:
        """What a question of several parts looks at, read once; a table that only this thread sees, until the end of the block."""
        with self._permit():  # for all of it: with a new file the table would be gone
            self.rows(f"CREATE OR REPLACE TEMP TABLE asked AS {sql}", values.given)
            try:
                yield "asked", DuckValues()
            finally:
                self.rows("DROP TABLE IF EXISTS asked")

    @contextlib.contextmanager
    def _permit(self) -> Generator[None]:
        if getattr(self._local, "permitted", False):
            yield
            return
        with self._permits:
            self._local.permitted = True
            try:
                yield
            finally:
                self._local.permitted = False

    @contextlib.contextmanager
    def transaction(self) -> Generator[DuckDBPyConnection]:
        """A transaction of the one writer."""
        with self._faults():
            self.writer.execute("BEGIN")
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:  # whatever ends the block, nothing of it is kept
                with contextlib.suppress(self._duckdb.Error):
                    self.writer.execute("ROLLBACK")
                raise

    def known(self, batches: Sequence[str]) -> set[str]:
        """Those of the batches that are stored."""
        with self._faults():
            found = self.writer.execute("SELECT batch FROM batches WHERE list_contains(?, batch)", [list(batches)]).fetchall()
        return {str(row[0]) for row in found}

    def store(self, batches: Sequence[Waiting]) -> tuple[int, int]:
        """Store these batches in one transaction: spans that were new, and spans that were known.

        Raises `ValueError` when one of them holds what cannot be stored; then none is.
        """
        # Whatever the clock says, what is stored from now on is not in the sums.
        now = max(int(time.time()), self.summed + 1)
        try:
            with self.transaction() as con:
                # No line is longer than its file; the reader takes twice as much memory in each thread.
                fresh = _FRESH.replace("@LARGEST@", str(max(1 << 20, *(one.bytes for one in batches))))
                con.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS {fresh}", [self.last, now, str(self._together(batches))])
                count, different, known = self._counts(con, now)
                if different < count or known:
                    con.execute(
                        f"CREATE OR REPLACE TEMP TABLE fresh AS SELECT DISTINCT ON ({_SAME}) * FROM fresh "
                        f"ANTI JOIN (SELECT {_SAME} FROM spans WHERE arrived >= ?) AS here USING ({_SAME})",
                        [now - KNOWN_SECONDS],
                    )
                con.execute(f"INSERT INTO spans ({_COLUMNS}) SELECT {_COLUMNS} FROM fresh")
                con.execute(
                    "INSERT INTO payloads SELECT payload, organisation, start_ns, coalesce(input, ''), coalesce(output, '') "
                    "FROM fresh WHERE payload IS NOT NULL"
                )
                con.execute("INSERT INTO batches SELECT unnest(?), ?", [[one.batch for one in batches], now])
                row = con.execute("SELECT count(*), coalesce(max(payload), 0) FROM fresh").fetchone()
                assert row is not None
                con.execute("DROP TABLE fresh")
        except StorageError as fault:
            cause, db = fault.__cause__, self._duckdb
            # A table or column that is missing, in a file that another version made, is no fault of the batch: it waits.
            if isinstance(cause, db.DataError | db.ProgrammingError) and not isinstance(cause, db.BinderException | db.CatalogException):
                raise ValueError(str(fault)) from fault
            raise
        finally:
            self._whole.unlink(missing_ok=True)
        self.last = max(self.last, int(row[1]))
        self.unsummed += int(row[0])
        return int(row[0]), count - int(row[0])

    def _together(self, batches: Sequence[Waiting]) -> Path:
        if len(batches) == 1:
            return batches[0].path
        # One file: the reader takes 5 ms to begin another.
        descriptor = os.open(self._whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for one in batches:
                file.write(one.path.read_bytes())
        return self._whole

    def _counts(self, con: DuckDBPyConnection, now: int) -> tuple[int, int, int]:
        row = con.execute(
            f"SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM (SELECT DISTINCT {_SAME} FROM fresh)), "
            f"(SELECT count(*) FROM fresh SEMI JOIN (SELECT {_SAME} FROM spans WHERE arrived >= ?) AS here USING ({_SAME}))",
            [now - KNOWN_SECONDS],
        ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1]), int(row[2])

    def sum_up(self) -> None:
        """Add what arrived since the last time to the sums."""
        while self.unsummed:
            with self.transaction() as con:
                upto = summing.add(con, self.summed)
            if upto == self.summed:
                return
            self.summed = upto
            self.unsummed = self._number(f"SELECT count(*) FROM spans WHERE arrived > {upto}")

    def forget_batches(self) -> None:
        """Forget the names of batches that nobody sends again."""
        with self.transaction() as con:
            con.execute("DELETE FROM batches WHERE stored < ?", [int(time.time()) - BATCH_SECONDS])

    def compact(self) -> None:
        """Write everything to a new file and take its place: what was deleted is off the disk. Questions wait for the last moment only."""
        fresh = self._fresh
        fresh.unlink(missing_ok=True)
        with self._faults():
            self.writer.execute(f"ATTACH '{str(fresh).replace(chr(39), chr(39) * 2)}' AS fresh")
            try:
                for statement in SCHEMA:
                    self.writer.execute(statement.format(at="fresh."))
                self.writer.execute("SET preserve_insertion_order = true")
                for table in _COPIED:
                    self.writer.execute(f"INSERT INTO fresh.{table} SELECT * FROM {table}")
                self.writer.execute("INSERT INTO fresh.ids VALUES (?)", [self.last])
                summing.copy_into(self.writer, "fresh")
                self.writer.execute("CHECKPOINT fresh")
            finally:
                self.writer.execute("SET preserve_insertion_order = false")
                self.writer.execute("DETACH fresh")
        with self._alone():
            self.broken = True  # until it is open again
            self._shut()
            descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fresh.chmod(0o600)
            fresh.replace(self.path)
            self._open()
            self.broken = False

    def slack(self) -> float:
        """The share of the file that holds nothing."""
        row = self.rows("SELECT sum(free_blocks), sum(total_blocks) FROM pragma_database_size()")[0]
        return float(row[0] or 0) / max(1.0, float(row[1] or 0))

    def checkpoint(self) -> None:
        """Move the log into the file."""
        with self._faults():
            self.writer.execute("CHECKPOINT")

    def close(self) -> None:
        """Let go of the file, its log written into it."""
        with self._alone():
            self._shut()

    def _shut(self) -> None:
        self.writer.close()
        self._con.close()

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        for _ in range(READERS):
            self._permits.acquire()
        try:
            yield
        finally:
            self._permits.release(READERS)

    @contextlib.contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except self._duckdb.Error as fault:
            said = " ".join(str(fault).split())[:300]
            if "No space left" in said:
                raise StorageFull(f"{self.path}: the disk is full; free some space", retry_after=5) from fault
            if isinstance(fault, self._duckdb.FatalException | self._duckdb.InternalException):
                self.broken = True
            raise StorageError(f"{self.path}: {said}") from fault
