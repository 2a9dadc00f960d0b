"""Counted summaries of calls: what the overview reads when there are too many calls to look at each.

Each process adds finished calls to rows that it owns, one for each minute, owner, model and outcome, and writes the whole totals of the
rows that changed in the transaction that stores the calls. Writing a total twice changes nothing, so a batch can be tried again, and two
processes never touch the same row.
"""

from __future__ import annotations

from typing import Any

from penstock.kernel.call import Call
from penstock.kernel.ids import new_id
from penstock.observability.rows import NAME_LIMIT, clean, served_by
from penstock.observability.sketch import Sketch

MINUTE = 60
HOUR = 3600
ROWS_PER_MINUTE = 2000
"""Combinations that are told apart within one minute; further ones count under the name `OTHER`."""

OTHER = "(other)"
KEEP_MINUTES = 15
"""How long a row stays open for late calls, such as long streams, before it is left to the database; a later one opens another row."""

Key = tuple[int, str, str, str, str, str, str, str, str, str, str, str]


class Summary:
    """The totals of one row."""

    __slots__ = ("calls", "cost", "dirty", "first", "id", "input", "key", "output", "total", "unpriced")

    def __init__(self, key: Key) -> None:
        self.id = new_id("sum")
        self.key = key
        self.calls = 0
        self.input = 0
        self.output = 0
        self.cost = 0
        self.unpriced = 0
        self.total = Sketch()
        self.first = Sketch()
        self.dirty = False

    def row(self) -> tuple[Any, ...]:
        """The values in the order of the table's columns."""
        period, *names = self.key
        return (
            self.id,
            period,
            MINUTE,
            *names,
            self.calls,
            self.input,
            self.output,
            self.cost,
            self.unpriced,
            self.total.encode(),
            self.first.encode(),
        )


class Summaries:
    """The open rows of this process; used by one thread."""

    def __init__(self) -> None:
        self._open: dict[Key, Summary] = {}
        self._per_minute: dict[int, int] = {}
        self._dirty: list[Summary] = []

    def add(self, call: Call) -> None:
        minute = int(call.started_at) // MINUTE * MINUTE
        key = self._key(minute, call)
        summary = self._open.get(key)
        if summary is None:
            summary = self._new(key)
        if not summary.dirty:
            summary.dirty = True
            self._dirty.append(summary)
        summary.calls += 1
        summary.total.add(call.total_ms)
        if call.first_token_ms is not None:
            summary.first.add(call.first_token_ms)
        if call.usage is not None:
            summary.input += call.usage.input
            summary.output += call.usage.output
        if call.cost is not None:
            summary.cost += call.cost.amount
            summary.unpriced += not call.cost.priced

    def changed(self) -> list[tuple[Any, ...]]:
        """Rows to write: those that calls were added to since `written` was called last."""
        return [summary.row() for summary in self._dirty]

    def written(self, now: float) -> None:
        """The rows of `changed` are stored; rows of minutes long past are let go of. ``now`` is Unix seconds."""
        for summary in self._dirty:
            summary.dirty = False
        self._dirty.clear()
        least = (int(now) // MINUTE - KEEP_MINUTES) * MINUTE
        if any(minute < least for minute in self._per_minute):
            self._open = {key: summary for key, summary in self._open.items() if key[0] >= least}
            self._per_minute = {minute: n for minute, n in self._per_minute.items() if minute >= least}

    def _key(self, minute: int, call: Call) -> Key:
        who = call.principal
        error = call.error.code if call.error is not None else ""
        provider, _ = served_by(call)
        # Names that nobody checked, as strangers and mistaken callers send them, would make a row each.
        known = who is not None and error != "model_not_found"
        return (
            minute,
            who.organisation if who is not None else "",
            (who.team or "") if who is not None else "",
            (who.project or "") if who is not None else "",
            who.key_id if who is not None else "",
            clean(call.task, NAME_LIMIT) if known and call.task else "",
            clean(call.model, NAME_LIMIT) if known else "",
            provider or "",
            call.operation,
            call.outcome,
            error,
            call.cost.currency if call.cost is not None else "",
        )

    def _new(self, key: Key) -> Summary:
        minute = key[0]
        count = self._per_minute.get(minute, 0)
        if count >= ROWS_PER_MINUTE:
            key = (*key[:4], "", OTHER, OTHER, OTHER, "", key[9], "", key[11])
            found = self._open.get(key)
            if found is not None:
                return found
        self._per_minute[minute] = count + 1
        summary = self._open[key] = Summary(key)
        return summary
