"""The questions in SQL, for every engine: which spans are meant, and what is asked about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry.dialect import Dialect, Values
from penstock.storage.telemetry.questions import MAX_LIMIT, MAX_POINTS, Filter, Measures, Retention
from penstock.storage.telemetry.sketch import PACKED, quantiles
from penstock.storage.telemetry.span import DIMENSIONS, FIELDS

LEFT_OUT = frozenset({"attributes", "resource", "events", "links"})
"""Columns that lists do not show."""

BRIEF: tuple[str, ...] = tuple(name for name in FIELDS if name not in LEFT_OUT)

REST = "…"
"""The group of all that did not get one of their own."""

_IDS = frozenset({"trace_id", "parent_id"})
_DAY_NS = 86_400 * 10**9

SUMS = ("spans", "failed", "refused", "flagged", "input_tokens", "output_tokens", "cached_tokens", "cost_micros")
NO_SUMS = ", ".join(f"0 AS {name}_" for name in SUMS)
_COUNTED = (
    "count(*) AS spans_, count(*) FILTER (WHERE status = 'failed') AS failed_, count(*) FILTER (WHERE status = 'refused') AS refused_, "
    "count(*) FILTER (WHERE flagged) AS flagged_, sum(coalesce(input_tokens, 0)) AS input_tokens_, "
    "sum(coalesce(output_tokens, 0)) AS output_tokens_, sum(coalesce(cached_tokens, 0)) AS cached_tokens_, "
    "sum(coalesce(cost_micros, 0)) AS cost_micros_"
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
        parts.append(dialect.one_of("payload", payloads))
        if payloads:
            # Ids grow with time: what lies apart is not looked at.
            parts.append(f"payload BETWEEN {min(payloads)} AND {max(payloads)}")
    return " AND ".join(parts) or "true"


def between(since_ns: int, until_ns: int) -> str:
    """Spans that began in this period."""
    return f"start_ns >= {int(since_ns)} AND start_ns < {int(until_ns)}"


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
    return dialect.first(columns(BRIEF, dialect), condition, "start_ns DESC, span_id DESC", capped(limit) + 1)


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


def cells(condition: str, keys: Sequence[str]) -> str:
    """What measures are made of. The columns are the keys (SQL expressions), named b0, b1 ..., then ``took`` and ``waited``, of which a
    row has one or none, ``n`` spans in that bucket, and `SUMS`. Everything is counted in one row and may be spread over many."""
    named_, grouped = named(keys, "took")
    first = f"SELECT {', '.join([*named_, 'took', 'NULL AS waited', 'count(*) AS n', _COUNTED])} FROM spans WHERE {condition}{grouped}"
    return f"{first} UNION ALL {times(condition, keys)[1]}"


def counted(condition: str, keys: Sequence[str]) -> str:
    """The same without times."""
    named_, grouped = named(keys)
    return f"SELECT {', '.join([*named_, 'NULL AS took', 'NULL AS waited', '0 AS n', _COUNTED])} FROM spans WHERE {condition}{grouped}"


def times(condition: str, keys: Sequence[str]) -> list[str]:
    """The same with times only."""
    found: list[str] = []
    for shown, bucket, more in (("took, NULL AS waited", "took", ""), ("NULL AS took, waited", "waited", " AND waited IS NOT NULL")):
        named_, grouped = named(keys, bucket)
        found.append(f"SELECT {', '.join([*named_, shown, 'count(*) AS n', NO_SUMS])} FROM spans WHERE {condition}{more}{grouped}")
    return found


def named(keys: Sequence[str], *others: str) -> tuple[list[str], str]:
    """The keys with their names, and the clause that groups by them and by ``others``."""
    grouped = [*(f"b{number}" for number in range(len(keys))), *others]
    return [f"{expression} AS b{number}" for number, expression in enumerate(keys)], f" GROUP BY {', '.join(grouped)}" if grouped else ""


def largest(source: str, key: str, count: int) -> str:
    """The values of a key of `cells` that most spans have."""
    return f"SELECT {key}, sum(spans_) FROM {source} AS cells GROUP BY {key} ORDER BY sum(spans_) DESC, {key} LIMIT {capped(count)}"


def added(source: str, keys: Sequence[str], order: str = "", limit: int | None = None) -> str:
    """The keys (SQL over `cells`) and `SUMS`, of those that have a span."""
    named_, grouped = _keyed(keys)
    tail = (f" ORDER BY {order}" if order else "") + (f" LIMIT {limit}" if limit else "")
    sums = [f"sum({name}_) AS {name}" for name in SUMS]
    return f"SELECT {', '.join([*named_, *sums])} FROM {source} AS cells WHERE spans_ <> 0{grouped} HAVING spans > 0{tail}"


def buckets(source: str, keys: Sequence[str], bucket: str, dialect: Dialect, only: str = "true") -> str:
    """The keys, and a list of what `penstock.storage.telemetry.sketch.quantiles` takes of ``bucket``, which is ``took`` or ``waited``."""
    named_, grouped = _keyed(keys, bucket)
    cells = f"SELECT {', '.join([*named_, bucket, 'sum(n) AS many'])} FROM {source} AS cells WHERE {bucket} IS NOT NULL{grouped}"
    names = [f"k{number}" for number in range(len(keys))]
    by = f" GROUP BY {', '.join(names)}" if names else ""
    packed = dialect.gathered(f"{dialect.whole(bucket, 1)} * {PACKED} + many")
    return f"SELECT {', '.join([*names, packed])} FROM ({cells}) AS few WHERE many > 0 AND {only}{by}"


def _keyed(keys: Sequence[str], *others: str) -> tuple[list[str], str]:
    grouped = [*(f"k{number}" for number in range(len(keys))), *others]
    return [f"{key} AS k{number}" for number, key in enumerate(keys)], f" GROUP BY {', '.join(grouped)}" if grouped else ""


def measured(sums: Sequence[int | None], took: Iterable[int], waited: Iterable[int]) -> Measures:
    """`Measures` from `SUMS` and from what `buckets` gathered."""
    p50, p95, p99 = quantiles(took, (50, 95, 99))
    first50, first95 = quantiles(waited, (50, 95))
    return Measures(
        **{name: int(value or 0) for name, value in zip(SUMS, sums, strict=True)},
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        first_token_p50_ms=first50,
        first_token_p95_ms=first95,
    )


def step_of(which: Filter, step_ns: int, dialect: Dialect, at: str = "start_ns") -> str:
    """The number of the step that ``at`` (SQL) lies in. Raises `RequestError` for a period that is open or has too many steps."""
    if which.since_ns is None or which.until_ns is None:
        raise RequestError("a series has a period with two ends", param="since_ns")
    if step_ns < 1 or (which.until_ns - which.since_ns) / step_ns > MAX_POINTS:
        raise RequestError(f"a series has at most {MAX_POINTS} steps; take longer ones", param="step_ns")
    return dialect.whole(f"({at} - {int(which.since_ns)})", step_ns)


def among(name: str, wanted: Sequence[str], values: Values) -> str:
    """The dimension, with everything that is not wanted as `REST`."""
    bound = ", ".join(values.bind(one) for one in wanted)
    return f"CASE WHEN {name} IN ({bound}) THEN {name} ELSE '{REST}' END" if bound else name


def latest_threads(condition: str, values: Values, limit: int, cursor: str, ended_ns: int | None) -> str:
    """Conversations by when they were spoken in last, of those that were not earlier than ``ended_ns``: session and organisation."""
    outer = ""
    if cursor:
        at, session = cursor_of_threads(cursor)
        outer = f" HAVING (max(end_ns) < {at} OR (max(end_ns) = {at} AND session > {values.bind(session)}))"
    late = f" AND end_ns >= {int(ended_ns)}" if ended_ns is not None else ""
    return (
        f"SELECT session, organisation FROM spans WHERE {condition}{late} AND session <> '' GROUP BY session, organisation{outer} "
        f"ORDER BY max(end_ns) DESC, session LIMIT {capped(limit) + 1}"
    )


def cursor_of_threads(cursor: str) -> tuple[int, str]:
    """When the last conversation that was shown was spoken in last, and its name."""
    at, _, session = cursor.partition(".")
    if not at.isdigit():
        raise RequestError("the cursor is none that this list gave", param="cursor")
    return int(at), session


def threads(condition: str, sessions: Sequence[str], values: Values) -> str:
    """What is known of these conversations."""
    wanted = ", ".join(values.bind(session) for session in sessions)
    return (
        "SELECT session, organisation, min(start_ns), max(end_ns), count(DISTINCT trace_id), count(*), "
        "count(*) FILTER (WHERE status = 'failed'), sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)), "
        f"sum(coalesce(cost_micros, 0)), max(person), max(agent) FROM spans WHERE {condition} AND session IN ({wanted}) "
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
