"""The questions in SQL, for every engine: which spans are meant, and what is asked about them."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry.dialect import Dialect, Values
from penstock.storage.telemetry.questions import MAX_LIMIT, MAX_POINTS, Filter, Measures, Retention
from penstock.storage.telemetry.sketch import milliseconds
from penstock.storage.telemetry.span import DIMENSIONS, FIELDS

LEFT_OUT = frozenset({"attributes", "resource", "events", "links"})
"""Columns that lists do not show."""

BRIEF: tuple[str, ...] = tuple(name for name in FIELDS if name not in LEFT_OUT)

REST = "…"
"""The group of all that did not get one of their own."""

_IDS = frozenset({"trace_id", "parent_id"})
_DAY_NS = 86_400 * 10**9

SUMS = ("spans", "failed", "refused", "flagged", "input_tokens", "output_tokens", "cached_tokens", "cost_micros")
_COUNTED = ("took", "waited", "status", "flagged", "input_tokens", "output_tokens", "cached_tokens", "cost_micros")
_CELLS = (
    "count(*) AS spans, count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'refused') AS refused, "
    "count(*) FILTER (WHERE flagged) AS flagged, sum(coalesce(input_tokens, 0)) AS input_tokens, "
    "sum(coalesce(output_tokens, 0)) AS output_tokens, sum(coalesce(cached_tokens, 0)) AS cached_tokens, "
    "sum(coalesce(cost_micros, 0)) AS cost_micros"
)


def where(which: Filter, values: Values, dialect: Dialect, payloads: Sequence[int] | None = None) -> str:
    """The condition. ``payloads`` are the ids that `Filter.text` was found in, for engines that look for words elsewhere."""
    parts: list[str] = []
    if which.organisation is not None:
        parts.append(f"organisation = {values.bind(which.organisation)}")
    if which.since_ns is not None:
        parts.append(f"start_ns >= {values.bind(which.since_ns)}")
    if which.until_ns is not None:
        parts.append(f"start_ns < {values.bind(which.until_ns)}")
    for conditions, word in ((which.equal, "IN"), (which.unequal, "NOT IN")):
        for name, wanted in conditions.items():
            bound = [_stored(name, one, values, dialect) for one in wanted]
            if bound:
                parts.append(f"{name} {word} ({', '.join(bound)})")
    for key, value in which.attributes.items():
        parts.append(f"{dialect.attribute('attributes', values.bind(key))} = {values.bind(value)}")
    if which.min_ms is not None:
        parts.append(f"end_ns - start_ns >= {values.bind(int(which.min_ms * 1e6))}")
    if which.max_ms is not None:
        parts.append(f"end_ns - start_ns <= {values.bind(int(which.max_ms * 1e6))}")
    if which.min_cost_micros is not None:
        parts.append(f"cost_micros >= {values.bind(which.min_cost_micros)}")
    if which.flagged is not None:
        parts.append("flagged" if which.flagged else "NOT flagged")
    if which.roots:
        parts.append("parent_id = 0")
    if payloads is not None:
        parts.append(f"payload IN ({', '.join(str(int(one)) for one in payloads) or 'NULL'})")
    return " AND ".join(parts) or "true"


def _stored(name: str, value: str, values: Values, dialect: Dialect) -> str:
    if name not in _IDS:
        return values.bind(value)
    if name == "parent_id" and not value:
        return "0"
    digits = 32 if name == "trace_id" else 16
    if len(value) != digits or not set(value) <= set("0123456789abcdef"):
        raise RequestError(f"{name} has {digits} hexadecimal digits", param=name)
    return dialect.trace(values.bind(value)) if name == "trace_id" else dialect.span(values.bind(value))


def columns(names: Sequence[str], dialect: Dialect, mark: str = "_") -> str:
    """A select list that gives a span's fields as they are in a `Span`, each named with a ``mark`` so that it hides no column."""
    return ", ".join(f"{dialect.shown(name)} AS {name}{mark}" for name in names)


def search(which: Filter, values: Values, dialect: Dialect, limit: int, cursor: str, payloads: Sequence[int] | None) -> str:
    """Newest first, one more than ``limit`` so that the caller sees whether there are others."""
    condition = where(which, values, dialect, payloads)
    if cursor:
        at, span = _cursor(cursor)
        condition += f" AND (start_ns < {at} OR (start_ns = {at} AND span_id < {span}))"
    return f"SELECT {columns(BRIEF, dialect)} FROM spans WHERE {condition} ORDER BY start_ns DESC, span_id DESC LIMIT {capped(limit) + 1}"


def cursor_of(start_ns: int, span_id: str) -> str:
    """Where a list goes on after this span."""
    return f"{start_ns}.{span_id}"


def _cursor(cursor: str) -> tuple[int, int]:
    at, _, span = cursor.partition(".")
    try:
        return int(at), int(span, 16)
    except ValueError as fault:
        raise RequestError("the cursor is none that this list gave", param="cursor") from fault


def capped(limit: int) -> int:
    """A limit within bounds."""
    if not 1 <= limit <= MAX_LIMIT:
        raise RequestError(f"a limit is 1 to {MAX_LIMIT}", param="limit")
    return limit


def grouped_by(by: Sequence[str]) -> Sequence[str]:
    """The dimensions, once it is clear that they may be grouped by."""
    for name in by:
        if name not in DIMENSIONS or name in _IDS:
            raise RequestError(f"{name!r} is nothing that spans are grouped by", param="by")
    if len(by) > 3:
        raise RequestError("spans are grouped by three dimensions at most", param="by")
    return by


def narrowed(condition: str, keys: Sequence[str]) -> str:
    """What measures are made of: the keys (SQL expressions), named b0, b1 ..., and the columns that are counted."""
    named = [f"{expression} AS b{number}" for number, expression in enumerate(keys)]
    return f"SELECT {', '.join([*named, *_COUNTED])} FROM spans WHERE {condition}"


def largest(source: str, key: str, count: int) -> str:
    """The values of a key of `narrowed` that most spans have."""
    return f"SELECT {key}, count(*) FROM {source} GROUP BY {key} ORDER BY count(*) DESC, {key} LIMIT {capped(count)}"


def measures(source: str, keys: Sequence[str], order: str = "", limit: int | None = None) -> str:
    """`Measures` by ``keys`` (SQL over `narrowed`): the keys, `SUMS`, then the buckets of p50, p95 and p99."""
    names, cells = _ranks(source, keys, "took", _CELLS)
    shown = [*names, *(f"sum({name}) AS {name}_" for name in SUMS), *_quantiles("took", (0.5, 0.95, 0.99))]
    tail = (f" ORDER BY {order}" if order else "") + (f" LIMIT {limit}" if limit else "")
    return f"{cells} SELECT {', '.join(shown)} FROM ranks{_by(names)}{tail}"


def first_tokens(source: str, keys: Sequence[str]) -> str:
    """The keys, then the buckets of p50 and p95 of the time to the first token."""
    names, cells = _ranks(f"{source} WHERE waited IS NOT NULL", keys, "waited", "count(*) AS spans")
    return f"{cells} SELECT {', '.join([*names, *_quantiles('waited', (0.5, 0.95))])} FROM ranks{_by(names)}"


def _ranks(source: str, keys: Sequence[str], bucket: str, counts: str) -> tuple[list[str], str]:
    """Spans counted by keys and bucket, and how many there are up to each bucket of its keys: quantiles without sorting any span."""
    names = [f"k{number}" for number in range(len(keys))]
    named = [f"{expression} AS {name}" for expression, name in zip(keys, names, strict=True)]
    part = f"PARTITION BY {', '.join(names)} " if names else ""
    cells = f"SELECT {', '.join([*named, bucket, counts])} FROM {source} GROUP BY {', '.join([*names, bucket])}"
    upto = f"sum(spans) OVER ({part}ORDER BY {bucket} ROWS UNBOUNDED PRECEDING) AS upto"
    return names, f"WITH cells AS ({cells}), ranks AS (SELECT *, {upto}, sum(spans) OVER ({part}) AS total FROM cells)"


def _quantiles(bucket: str, shares: Sequence[float]) -> list[str]:
    return [f"min({bucket}) FILTER (WHERE upto >= total * {share})" for share in shares]


def _by(names: Sequence[str]) -> str:
    return f" GROUP BY {', '.join(names)}" if names else ""


def measured(row: Sequence[int | None], waited: Sequence[int | None] = (None, None)) -> Measures:
    """`Measures` from `SUMS` and the buckets."""
    count = len(SUMS)
    return Measures(
        **{name: int(value or 0) for name, value in zip(SUMS, row[:count], strict=True)},
        p50_ms=milliseconds(row[count]),
        p95_ms=milliseconds(row[count + 1]),
        p99_ms=milliseconds(row[count + 2]),
        first_token_p50_ms=milliseconds(waited[0]),
        first_token_p95_ms=milliseconds(waited[1]),
    )


def step_of(which: Filter, step_ns: int, dialect: Dialect) -> str:
    """The number of a span's step within the period. Raises `RequestError` for a period that is open or has too many."""
    if which.since_ns is None or which.until_ns is None:
        raise RequestError("a series has a period with two ends", param="since_ns")
    if step_ns < 1 or (which.until_ns - which.since_ns) / step_ns > MAX_POINTS:
        raise RequestError(f"a series has at most {MAX_POINTS} steps; take longer ones", param="step_ns")
    return dialect.whole(f"(start_ns - {int(which.since_ns)})", step_ns)


def among(name: str, wanted: Sequence[str], values: Values) -> str:
    """The dimension, with everything that is not wanted as `REST`."""
    bound = ", ".join(values.bind(one) for one in wanted)
    return f"CASE WHEN {name} IN ({bound}) THEN {name} ELSE '{REST}' END" if bound else name


def threads(which: Filter, values: Values, dialect: Dialect, limit: int, cursor: str, payloads: Sequence[int] | None) -> str:
    """Conversations by when they were spoken in last."""
    condition = where(which, values, dialect, payloads)
    outer = ""
    if cursor:
        at, _, session = cursor.partition(".")
        if not at.isdigit():
            raise RequestError("the cursor is none that this list gave", param="cursor")
        outer = f" HAVING (max(end_ns) < {int(at)} OR (max(end_ns) = {int(at)} AND session > {values.bind(session)}))"
    return (
        "SELECT session, organisation, min(start_ns), max(end_ns), count(*), "
        "count(*) FILTER (WHERE status = 'failed'), sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)), "
        "sum(coalesce(cost_micros, 0)), max(person), max(agent) "
        f"FROM spans WHERE {condition} AND session <> '' GROUP BY session, organisation{outer} ORDER BY max(end_ns) DESC, session "
        f"LIMIT {capped(limit) + 1}"
    )


def traces_of(sessions: Sequence[tuple[str, str]], which: Filter, values: Values, dialect: Dialect, payloads: Sequence[int] | None) -> str:
    """How many traces each of these sessions (with its organisation) has within the filter."""
    condition = where(which, values, dialect, payloads)
    wanted = ", ".join(values.bind(session) for session, _ in sessions)
    return (
        f"SELECT session, organisation, count(DISTINCT trace_id) FROM spans WHERE {condition} AND session IN ({wanted}) "
        "GROUP BY session, organisation"
    )


def expired(rule: Retention, others: Sequence[str], values: Values, dialect: Dialect, now_ns: int) -> str:
    """Spans that the rule lets go; ``others`` are the organisations that have rules of their own."""
    owner = ruled(rule, others, values)
    marks = ["status <> 'ok'", "flagged"]
    if rule.slow_ms is not None:
        marks.append(f"end_ns - start_ns >= {int(rule.slow_ms * 1e6)}")
    if rule.costly_micros is not None:
        marks.append(f"cost_micros >= {int(rule.costly_micros)}")
    interesting = f"SELECT trace_id FROM spans WHERE {owner} AND ({' OR '.join(marks)})"

    def before(days: float) -> str:
        return f"start_ns < {now_ns - int(days * _DAY_NS)}"

    ordinary = [before(rule.span_days)]
    if rule.sample < 1:
        share = int(max(0.0, rule.sample) * 2**32)
        ordinary.append(f"({before(rule.whole_days)} AND {lot(dialect)} >= {share})")
    kept = max(rule.keep_days, rule.span_days)
    return f"{owner} AND ({before(kept)} OR (({' OR '.join(ordinary)}) AND trace_id NOT IN ({interesting})))"


def ruled(rule: Retention, others: Sequence[str], values: Values) -> str:
    """What belongs to the organisations that the rule is for."""
    if rule.organisation is not None:
        return f"organisation = {values.bind(rule.organisation)}"
    return f"organisation NOT IN ({', '.join(values.bind(one) for one in others)})" if others else "true"


def lot(dialect: Dialect) -> str:
    """A number below 2^32 that a trace always draws, on every machine and engine: what the middle digits of its MD5 say."""
    digits = f"substr({dialect.digest(dialect.shown('trace_id'))}, 9, 8)"
    return dialect.span(f"concat('00000000', {digits})")
