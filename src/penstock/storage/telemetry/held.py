"""The embedded store as the one process that holds it sees it: what waits is stored, questions are asked, and old things go.

Everything here blocks and belongs on threads. One lock keeps what writes apart; questions do not take it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from penstock.kernel.errors import RequestError, StorageError
from penstock.storage.telemetry import sql, summing
from penstock.storage.telemetry.asked import Questions
from penstock.storage.telemetry.dialect import Dialect
from penstock.storage.telemetry.duck import Duck, DuckValues
from penstock.storage.telemetry.inbox import Inbox, Waiting
from penstock.storage.telemetry.mending import mended
from penstock.storage.telemetry.questions import Facts, Filter, Removed, Retention
from penstock.storage.telemetry.resting import bytes_in
from penstock.storage.telemetry.span import FIELDS
from penstock.storage.telemetry.words import Text, Words, remove_files

_log = logging.getLogger("penstock.telemetry")

TOGETHER_BYTES = 32 << 20
TOGETHER = 1024
"""How much, and how many batches, are stored in one transaction: of 8 MB each, a span would cost half as much again."""

INDEXED = 1000
"""Payloads that are indexed in one transaction."""

SUMMED_FROM = 250_000
"""Spans that are summed together: to count so few one by one takes some milliseconds, and fewer at once make more rows of sums."""

LOOSE = 0.5
"""The share of the file that may hold nothing before it is written anew."""

_DAY_NS = 86_400 * 10**9


class Held:
    """The engine and the index of words, open; see `penstock.storage.telemetry.store.TelemetryStore`."""

    def __init__(self, folder: Path, inbox: Inbox, *, memory_mb: int, summed_from: int = SUMMED_FROM) -> None:
        self.folder = folder
        self.inbox = inbox
        self._duck = Duck(folder, memory_mb=memory_mb)
        self.dialect: Dialect = self._duck.dialect
        try:
            self._words = self._open_words()
            # The index may know of more than a file that was put back from a copy.
            self._duck.last = max(self._duck.last, self._words.upto)
        except BaseException:  # whatever it is, the next try must be able to open the engine
            self._duck.close()
            raise
        self.questions = Questions(self)
        self._writing = threading.Lock()
        self._summed_from = summed_from
        self.repeated = 0
        self.unreadable = 0
        inbox.clean()

    def _open_words(self) -> Words:
        path = self.folder / "words.db"
        try:
            return Words(path)
        except StorageError:
            _log.warning("the index of words cannot be read and is made again", extra={"file": str(path)})
            remove_files(path)
            return Words(path)

    @property
    def broken(self) -> bool:
        """Whether the engine has given up on its file and must be opened anew."""
        return self._duck.broken

    @property
    def summed(self) -> int | None:
        """Spans that arrived up to here are in the sums."""
        return self._duck.summed

    def rows(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        return self._duck.rows(sql, values)

    def once(self, sql: str, values: Any) -> AbstractContextManager[tuple[str, Any]]:
        return self._duck.once(sql, values)

    def find(self, text: str, organisation: str | None, limit: int, before: int | None) -> list[int]:
        return self._words.find(text, organisation, limit, before)

    def store_waiting(self) -> int:
        """Store everything that waits at this moment; how many spans were new."""
        new = 0
        with self._writing:
            waiting = self.inbox.waiting()
            for together in _portions(waiting):
                new += self._store(together)
            self._index()
            if self._duck.unsummed >= self._summed_from:
                self._duck.sum_up()
        return new

    def _store(self, batches: Sequence[Waiting]) -> int:
        known = self._duck.known([one.batch for one in batches])
        fresh = {one.batch: one for one in batches if one.batch not in known}
        new = 0
        if fresh:
            try:
                new, repeated = self._duck.store(list(fresh.values()))
                self.repeated += repeated
            except ValueError:
                new = sum(self._store_one(one) for one in fresh.values())
        for one in batches:
            self.inbox.done(one)
        return new

    def _store_one(self, batch: Waiting) -> int:
        """A batch of several that together could not be stored: as it is, else mended, else it is set aside."""
        for attempt in (False, True):
            try:
                if attempt:
                    lost = mended(batch.path)
                    self.unreadable += lost
                    _log.warning("a batch of telemetry was mended", extra={"batch": batch.batch, "spans_lost": lost})
                new, repeated = self._duck.store([batch])
            except ValueError as fault:
                said = str(fault)
            else:
                self.repeated += repeated
                return new
        self.unreadable += 1
        _log.error("a batch of telemetry cannot be stored and is set aside", extra={"file": str(batch.path), "fault": said})
        self.inbox.set_aside(batch)
        return 0

    def _index(self) -> None:
        while True:
            upto = self._words.upto
            rows = self._duck.rows(f"SELECT id, organisation, input, output FROM payloads WHERE id > {upto} ORDER BY id LIMIT {INDEXED}")
            if not rows:
                return
            self._words.add((_text(row) for row in rows), int(rows[-1][0]))

    def erase(self, organisation: str, person: str) -> Removed:
        """See the protocol. What waits is stored first, so that it goes too."""
        if not person:
            raise RequestError("an erasure names a person", param="person")
        self.store_waiting()
        with self._writing:
            values = DuckValues()
            condition = f"organisation = {values.bind(organisation)} AND person = {values.bind(person)}"
            removed = self._drop(condition, values, summed=False)
            self._words.scrub()
            self._duck.compact()
        return removed

    def retain(self, rules: Sequence[Retention], now_ns: int) -> Removed:
        """See the protocol."""
        own = [rule.organisation for rule in rules if rule.organisation is not None]
        spans = payloads = 0
        with self._writing:
            for rule in rules:
                values = DuckValues()
                removed = self._drop(sql.expired(rule, own, values, self.dialect, now_ns), values, summed=True)
                spans += removed.spans
                values = DuckValues()
                ruled = sql.ruled(rule, own, values)
                with self._duck.transaction() as con:
                    summing.forget(con, now_ns - int(max(rule.keep_days, rule.span_days) * _DAY_NS), ruled, values.given)
                values = DuckValues()
                before = now_ns - int(min(rule.payload_days, max(rule.span_days, rule.keep_days)) * _DAY_NS)
                condition = f"start_ns < {before} AND {sql.ruled(rule, own, values)}"
                payloads += removed.payloads + self._drop_payloads(condition, values)
            self._duck.forget_batches()
            self._duck.checkpoint()
            if self._duck.slack() > LOOSE:
                self._duck.compact()
        return Removed(spans=spans, payloads=payloads)

    def _drop(self, condition: str, values: DuckValues, *, summed: bool) -> Removed:
        """Delete these spans. Those that were kept long enough stay in the sums (``summed``), which are kept as long as any span."""
        # Decided once: what is dropped must be the same for words, payloads and spans.
        with self._duck.transaction() as con:
            con.execute(
                "CREATE OR REPLACE TEMP TABLE doomed AS SELECT organisation, trace_id, span_id, payload, arrived "
                f"FROM spans WHERE {condition}",
                values.given,
            )
            ids = [int(row[0]) for row in con.execute("SELECT payload FROM doomed WHERE payload IS NOT NULL").fetchall()]
            latest = con.execute("SELECT max(arrived) FROM doomed").fetchone()
        if summed and latest is not None and (latest[0] or 0) > self._duck.summed:
            self._duck.sum_up()
        payloads = self._drop_payloads(f"id IN (SELECT payload FROM {_UNNESTED})", DuckValues(), ids) if ids else 0
        with self._duck.transaction() as con:
            if not summed:
                summing.subtract(con, self._duck.summed)
            row = con.execute(
                # Ids are the senders': two organisations may have the same ones.
                "DELETE FROM spans USING doomed WHERE spans.organisation = doomed.organisation "
                "AND spans.trace_id = doomed.trace_id AND spans.span_id = doomed.span_id"
            ).fetchone()
            con.execute("DROP TABLE doomed")
        return Removed(spans=int(row[0]) if row is not None else 0, payloads=payloads)

    def _drop_payloads(self, condition: str, values: DuckValues, ids: Sequence[int] | None = None) -> int:
        given = [list(ids)] if ids is not None else values.given
        doomed = [int(row[0]) for row in self._duck.rows(f"SELECT id FROM payloads WHERE {condition} ORDER BY id", given)]
        for first in range(0, len(doomed), INDEXED):
            some = doomed[first : first + INDEXED]
            texts = self._duck.rows(
                f"SELECT id, organisation, input, output FROM payloads WHERE id IN (SELECT payload FROM {_UNNESTED})", [some]
            )
            # The words go first: killed in between, the texts are still there to take the words of the others out with.
            self._words.remove([_text(row) for row in texts])
            with self._duck.transaction() as con:
                con.execute(f"DELETE FROM payloads WHERE id IN (SELECT payload FROM {_UNNESTED})", [some])
                con.execute("DELETE FROM ids")
                con.execute("INSERT INTO ids VALUES (?)", [self._duck.last])
        return len(doomed)

    def export(self, which: Filter, path: Path, payloads: bool) -> int:
        """See the protocol. The file appears whole or not at all."""
        values = DuckValues()
        found = self.find(which.text, which.organisation, 1_000_000, None) if which.text else None
        condition = sql.where(which, values, self.dialect, found)
        columns = sql.columns(FIELDS, self.dialect, mark="")
        more = ", input, output" if payloads else ""
        joined = "LEFT JOIN (SELECT id, input, output FROM payloads) AS said ON spans.payload = said.id " if payloads else ""
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.unlink(missing_ok=True)
        try:
            rows = self._duck.rows(
                f"COPY (SELECT {columns}{more} FROM spans {joined}WHERE {condition} ORDER BY start_ns) TO "
                f"'{str(unfinished).replace(chr(39), chr(39) * 2)}' (FORMAT parquet, COMPRESSION zstd)",
                values.given,
            )
            unfinished.chmod(0o600)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return int(rows[0][0])

    def facts(self) -> Facts:
        """See the protocol."""
        spans, oldest = self._duck.rows("SELECT count(*), min(start_ns) FROM spans")[0]
        payloads = self._duck.rows("SELECT count(*) FROM payloads")[0][0]
        waiting = self.inbox.waiting()
        return Facts(
            engine="duckdb",
            spans=int(spans),
            payloads=int(payloads),
            bytes=bytes_in(self.folder) + sum(one.bytes for one in waiting),
            oldest_ns=oldest,
            waiting=len(waiting),
            repeated=self.repeated,
            unreadable=self.unreadable,
        )

    def close(self) -> None:
        """Let go of the files."""
        with self._writing:
            self._words.close()
            self._duck.close()


_UNNESTED = "(SELECT unnest($1) AS payload)"


def _text(row: Sequence[Any]) -> Text:
    return int(row[0]), str(row[1]), f"{row[2]}\n{row[3]}"


def _portions(waiting: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    portion: list[Waiting] = []
    size = 0
    for one in waiting:
        if portion and (size + one.bytes > TOGETHER_BYTES or len(portion) >= TOGETHER):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += one.bytes
    if portion:
        yield portion
