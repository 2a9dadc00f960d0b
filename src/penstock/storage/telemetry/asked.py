"""The questions, asked of an engine in SQL: blocking, for threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from penstock.storage.telemetry import sql, sums
from penstock.storage.telemetry.dialect import Dialect
from penstock.storage.telemetry.questions import Filter, Group, Measures, Page, Point, Stored, Thread, Threads
from penstock.storage.telemetry.span import FIELDS, Payload, Span

FOUND = 2000
"""Payloads with the words looked for that are taken at once, the latest first."""

COUNTED = 20_000
"""Most payloads with these words that a chart counts: the latest ones."""


class Engine(Protocol):
    """What the questions need of an engine."""

    dialect: Dialect

    @property
    def summed(self) -> int | None:
        """Spans that arrived up to here are in the tables of `penstock.storage.telemetry.sums`; None where there are none."""
        ...

    def rows(self, sql: str, values: Any) -> list[tuple[Any, ...]]: ...

    def once(self, sql: str, values: Any) -> AbstractContextManager[tuple[str, Any]]:
        """Read what this statement gives once, if it can: where it is then asked from, and the values that such questions begin with."""
        ...

    def find(self, text: str, organisation: str | None, limit: int, before: int | None) -> list[int]:
        """Ids of payloads that have these words, the latest first, below ``before``."""
        ...


class Questions:
    """See `penstock.storage.telemetry.store.TelemetryStore` for what each answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dialect = engine.dialect

    def search(self, which: Filter, limit: int, cursor: str) -> Page:
        found: list[Span] = []
        for payloads in self._payloads(which):
            values = self._dialect.values()
            text = sql.search(which, values, self._dialect, limit, cursor, payloads)
            found.extend(_span(sql.BRIEF, row) for row in self._engine.rows(text, values.given))
            if len(found) > limit:
                break
        # Payloads are found in the order in which they came, spans are shown in that of their starts.
        found.sort(key=lambda span: (span.start_ns, span.span_id), reverse=True)
        more = len(found) > limit
        del found[limit:]
        return Page(spans=found, cursor=sql.cursor_of(found[-1].start_ns, found[-1].span_id) if more else "")

    def trace(self, trace_id: str, organisation: str | None, limit: int) -> list[Stored]:
        which = Filter(organisation=organisation, equal={"trace_id": (trace_id,)})
        values = self._dialect.values()
        condition = sql.where(which, values, self._dialect)
        fields = sql.columns(FIELDS, self._dialect)
        text = f"SELECT {fields}, payload FROM spans WHERE {condition} ORDER BY start_ns, span_id LIMIT {int(limit)}"
        rows = self._engine.rows(text, values.given)
        said = ", ".join(str(int(row[-1])) for row in rows if row[-1] is not None)
        kept = {int(row[0]) for row in self._engine.rows(f"SELECT id FROM payloads WHERE id IN ({said})", [])} if said else set[int]()
        return [Stored(span=_span(FIELDS, row), payload=row[-1] is not None and int(row[-1]) in kept) for row in rows]

    def payload(self, trace_id: str, span_id: str, organisation: str | None) -> Payload | None:
        which = Filter(organisation=organisation, equal={"trace_id": (trace_id,)})
        values = self._dialect.values()
        condition = sql.where(which, values, self._dialect)
        found = self._engine.rows(
            f"SELECT {self._dialect.shown('span_id')}, payload FROM spans WHERE {condition} AND payload IS NOT NULL", values.given
        )
        for shown, payload in found:
            if shown == span_id:
                rows = self._engine.rows(f"SELECT input, output FROM payloads WHERE id = {int(payload)}", [])
                return Payload(input=rows[0][0], output=rows[0][1]) if rows else None
        return None

    def series(self, which: Filter, step_ns: int, by: str, groups: int) -> list[Point]:
        sql.step_of(which, step_ns, self._dialect)
        since = which.since_ns or 0
        with self._cells(which, sql.grouped_by((by,) if by else ()), step_ns) as (source, values):
            keys = ["b0"]
            if by:
                wanted = [str(row[0]) for row in self._engine.rows(sql.largest(source, "b1", groups), values.given)]
                keys.append(sql.among("b1", wanted, values))
            found = self._measured(source, keys, values, "k0, k1" if by else "k0", None)
        return [Point(at_ns=since + int(key[0]) * step_ns, group=str(key[1]) if by else "", measures=measures) for key, measures in found]

    def groups(self, which: Filter, by: Sequence[str], limit: int) -> list[Group]:
        sql.capped(limit)
        named = sql.grouped_by(by)
        keys = [f"b{number}" for number in range(len(named))]
        order = ", ".join(["spans DESC", *(f"k{number}" for number in range(len(named)))]) if named else ""
        with self._cells(which, named, None) as (source, values):
            found = self._measured(source, keys, values, order, limit if named else None)
        return [Group(values=tuple(map(str, key)), measures=measures) for key, measures in found]

    def _measured(
        self, source: str, keys: Sequence[str], values: Any, order: str, limit: int | None
    ) -> list[tuple[tuple[Any, ...], Measures]]:
        rows = self._engine.rows(sql.added(source, keys, order, limit), values.given)
        count = len(keys)
        only = "true"
        if limit is not None:
            # Of thousands of groups a few are shown; the times of no others are wanted.
            shown = [dict.fromkeys(str(row[number]) for row in rows) for number in range(count)]
            only = " AND ".join(f"k{number} IN ({', '.join(map(values.bind, some))})" for number, some in enumerate(shown) if some) or only
        took, waited = (
            {
                row[:count]: list(row[count] or ())
                for row in self._engine.rows(sql.buckets(source, keys, bucket, self._dialect, only), values.given)
            }
            for bucket in ("took", "waited")
        )
        return [(row[:count], sql.measured(row[count:], took.get(row[:count], ()), waited.get(row[:count], ()))) for row in rows]

    def _cells(self, which: Filter, by: Sequence[str], step_ns: int | None) -> AbstractContextManager[tuple[str, Any]]:
        values = self._dialect.values()
        upto = self._engine.summed
        if upto is not None and (plan := sums.plan(which, by, step_ns)) is not None:
            return self._engine.once(sums.cells(plan, which, by, step_ns, upto, values, self._dialect), values)
        keys = [*([sql.step_of(which, step_ns, self._dialect)] if step_ns is not None else []), *by]
        return self._engine.once(sql.cells(sql.where(which, values, self._dialect, self._some(which)), keys), values)

    def threads(self, which: Filter, limit: int, cursor: str) -> Threads:
        payloads = self._some(which)
        found: list[tuple[Any, ...]] = []
        for ended_ns in self._looked_back(which, cursor):
            values = self._dialect.values()
            condition = sql.where(which, values, self._dialect, payloads)
            found = self._engine.rows(sql.latest_threads(condition, values, limit, cursor, ended_ns), values.given)
            if len(found) > limit:
                break
        shown = found[:limit]
        if not shown:
            return Threads(threads=[])
        values = self._dialect.values()
        condition = sql.where(which, values, self._dialect, payloads)
        text = sql.threads(condition, list(dict.fromkeys(row[0] for row in shown)), values)
        known = {(row[0], row[1]): _thread(row) for row in self._engine.rows(text, values.given)}
        threads = [known[row[0], row[1]] for row in shown if (row[0], row[1]) in known]
        more = len(found) > limit and bool(threads)
        return Threads(threads=threads, cursor=f"{threads[-1].last_ns}.{threads[-1].session}" if more else "")

    def _looked_back(self, which: Filter, cursor: str) -> Iterator[int | None]:
        """How far to look back for the latest conversations: those that were spoken in since, if there are enough, are the latest."""
        last = sql.cursor_of_threads(cursor)[0] if cursor else which.until_ns
        if last is not None:
            yield from (last - hours * sums.HOUR for hours in (1, 24, 7 * 24))
        yield None

    def _payloads(self, which: Filter) -> Iterator[Sequence[int] | None]:
        if not which.text:
            yield None
            return
        before: int | None = None
        while True:
            found = self._engine.find(which.text, which.organisation, FOUND, before)
            if found:
                yield found
                before = found[-1]
            if len(found) < FOUND:
                return

    def _some(self, which: Filter) -> Sequence[int] | None:
        return self._engine.find(which.text, which.organisation, COUNTED, None) if which.text else None


def _span(names: Sequence[str], row: Sequence[Any]) -> Span:
    return Span(**dict(zip(names, row, strict=False)))


def _thread(row: Sequence[Any]) -> Thread:
    names = ("first_ns", "last_ns", "traces", "spans", "failed", "input_tokens", "output_tokens", "cost_micros")
    counts = {name: int(value) for name, value in zip(names, row[2:10], strict=True)}
    return Thread(session=row[0], organisation=row[1], person=row[10], agent=row[11], **counts)
