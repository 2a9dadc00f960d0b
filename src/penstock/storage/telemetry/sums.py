"""Which questions are answered from sums, so that a month does not have to be counted span by span.

Spans are summed by the hour, once for the dimensions of what ran and twice for those of who owns it; their times are counted in buckets by
longer periods and by few dimensions at a time (a bucket for every hour and combination would be as many rows as there are spans). What
a sum does not hold is counted from spans: the ends of a period that are no whole hours, and whatever arrived after ``upto``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from penstock.storage.telemetry import sql
from penstock.storage.telemetry.dialect import Dialect, Values
from penstock.storage.telemetry.questions import Filter

HOUR = 3600 * 10**9
_FOREVER = 2**62
SHORTEST = 3
"""Hours that a question is about at least before sums are asked."""

ADDED = ("spans", "input_tokens", "output_tokens", "cached_tokens", "cost_micros")
"""What a row of sums holds; failed, refused and flagged spans are told apart by its dimensions."""

_EVERYWHERE = ("organisation", "kind", "status", "flagged")
TABLES: dict[str, tuple[str, ...]] = {
    "sums": (
        *_EVERYWHERE, "task", "model", "answered", "provider", "service", "release", "environment", "agent", "tool", "operation", "prompt",
        "source", "verdict", "error_code",
    ),
    "owner_sums": (*_EVERYWHERE, "team", "project", "service", "release", "environment"),
    "key_sums": (*_EVERYWHERE, "team", "key"),
}  # fmt: skip
"""The tables of sums by the hour, with their dimensions."""


class Cut(NamedTuple):
    """Times counted in buckets, by organisation, kind, these dimensions, and periods of so many hours since 1970."""

    dimensions: tuple[str, ...]
    hours: int

    @property
    def name(self) -> str:
        return ",".join(self.dimensions)


CUTS = (
    Cut((), 6),
    Cut(("model",), 6),
    Cut(("task",), 6),
    Cut(("provider",), 6),
    Cut(("agent",), 6),
    Cut(("tool",), 6),
    Cut(("release",), 24),
    Cut(("team",), 24),
    Cut(("key",), 24),
    Cut(("task", "model"), 24),
)
"""The smallest first that has all the dimensions asked for is taken. One more may be put here at any time: a store that was filled without
it counts it once from its spans, when it is opened (`penstock.storage.telemetry.summing.catch_up`)."""

CUT_BY: tuple[str, ...] = tuple(dict.fromkeys(name for cut in CUTS for name in cut.dimensions))


class Plan(NamedTuple):
    """From ``since_ns`` to ``until_ns`` ask the table and, unless times must be counted from spans, the cut."""

    table: str
    cut: Cut | None
    since_ns: int
    until_ns: int


def plan(which: Filter, by: Sequence[str], step_ns: int | None) -> Plan | None:
    """How a question is answered from sums; None where only spans can tell. ``step_ns`` is None for a question without steps."""
    if which.attributes or which.text or which.roots or (which.min_ms, which.max_ms, which.min_cost_micros) != (None, None, None):
        return None
    asked = {*by, *which.equal, *which.unequal, *(("flagged",) if which.flagged is not None else ())}
    table = next((name for name, dimensions in TABLES.items() if asked <= set(dimensions)), None)
    if table is None:
        return None
    narrow = asked - {"organisation", "kind"}
    for cut in (*(cut for cut in CUTS if narrow <= set(cut.dimensions)), None):
        width = HOUR * (cut.hours if cut is not None else 1)
        since, until = which.since_ns or 0, _FOREVER if which.until_ns is None else which.until_ns
        first, last = -(-since // width) * width, until // width * width
        steps = step_ns is None or until - since <= step_ns or (since % width == 0 and step_ns % width == 0)
        # Where the ends are most of it, sums save nothing; nor where there is little of it, since a question of many parts takes longer.
        if steps and last - first >= SHORTEST * HOUR and 2 * (last - first) >= until - since:
            return Plan(table, cut, first, last)
    return None


def cells(plan: Plan, which: Filter, by: Sequence[str], step_ns: int | None, upto: int, values: Values, dialect: Dialect) -> str:
    """`penstock.storage.telemetry.sql.cells` of the same question, from sums and the spans that they do not hold."""
    anywhen = msgspec.structs.replace(which, since_ns=None, until_ns=None)
    unsummed = [f"{sql.between(plan.since_ns, plan.until_ns)} AND arrived > {int(upto)}"]
    if (which.since_ns or 0) < plan.since_ns:
        unsummed.append(sql.between(which.since_ns or 0, plan.since_ns))
    if which.until_ns is not None and plan.until_ns < which.until_ns:
        unsummed.append(sql.between(plan.until_ns, which.until_ns))
    condition = sql.where(anywhen, values, dialect)
    keys = _keys("start_ns", which, by, step_ns, dialect)
    parts = [_sums(plan, condition, _keys(f"(hour * {HOUR})", which, by, step_ns, dialect), upto)]
    if plan.cut is not None:
        parts.append(_times(plan, plan.cut, condition, _keys(f"(stretch * {plan.cut.hours * HOUR})", which, by, step_ns, dialect), upto))
        parts += [sql.cells(f"{part} AND {condition}", keys) for part in unsummed]
    else:
        parts += [sql.counted(f"{part} AND {condition}", keys) for part in unsummed]
        parts += sql.times(sql.where(which, values, dialect), keys)
    return " UNION ALL ".join(parts)


def _keys(at: str, which: Filter, by: Sequence[str], step_ns: int | None, dialect: Dialect) -> list[str]:
    return [*([sql.step_of(which, step_ns, dialect, at)] if step_ns is not None else []), *by]


def _sums(plan: Plan, condition: str, keys: Sequence[str], upto: int) -> str:
    named, grouped = sql.named(keys)
    sums = ", ".join(
        [
            "sum(spans) AS spans_",
            *(f"sum(CASE WHEN {told} THEN spans ELSE 0 END) AS {name}_" for name, told in _TOLD.items()),
            *(f"sum({name}) AS {name}_" for name in ADDED[1:]),
        ]
    )
    hours = f"hour >= {plan.since_ns // HOUR} AND hour < {plan.until_ns // HOUR}"
    return (
        f"SELECT {', '.join([*named, 'NULL AS took', 'NULL AS waited', '0 AS n', sums])} FROM {plan.table} "
        f"WHERE {hours} AND upto <= {int(upto)} AND {condition}{grouped}"
    )


_TOLD = {"failed": "status = 'failed'", "refused": "status = 'refused'", "flagged": "flagged"}


def _times(plan: Plan, cut: Cut, condition: str, keys: Sequence[str], upto: int) -> str:
    named, grouped = sql.named(keys, "took", "waited")
    width = cut.hours * HOUR
    return (
        f"SELECT {', '.join([*named, 'took', 'waited', 'sum(n) AS n', sql.NO_SUMS])} FROM times WHERE cut = '{cut.name}' "
        f"AND stretch >= {plan.since_ns // width} AND stretch < {plan.until_ns // width} AND upto <= {int(upto)} AND {condition}{grouped}"
    )
