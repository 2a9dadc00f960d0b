"""ClickHouse's tables of spans, and its words for what the questions ask."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.storage.telemetry.span import FIELDS

NUMBERS = frozenset({"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_micros", "first_token_ns"})
_LONG = frozenset({"attributes", "resource", "events", "links", "message", "session", "run", "name"})
_TYPES = {"trace_id": "UUID", "span_id": "UInt64", "parent_id": "UInt64", "start_ns": "Int64", "end_ns": "Int64", "flagged": "Bool"}

BROUGHT: tuple[str, ...] = (*FIELDS, "took", "waited", "payload", "arrived")
"""The columns of a row of spans."""


def _type(name: str) -> str:
    if name in _TYPES:
        return _TYPES[name]
    if name in NUMBERS:
        return "Nullable(Int64)"
    return "String CODEC(ZSTD(1))" if name in _LONG else "LowCardinality(String)"


_SETTINGS = "SETTINGS non_replicated_deduplication_window = 10000"

SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS spans ({', '.join(f'{name} {_type(name)}' for name in FIELDS)}, took UInt16, waited Nullable(UInt16), "
    "payload Nullable(Int64), arrived Int64, INDEX by_trace trace_id TYPE bloom_filter GRANULARITY 1, "
    "INDEX by_span span_id TYPE bloom_filter GRANULARITY 1) ENGINE = MergeTree PARTITION BY intDiv(start_ns, 604800000000000) "
    f"ORDER BY (organisation, start_ns) {_SETTINGS}",
    "CREATE TABLE IF NOT EXISTS payloads (id Int64, organisation LowCardinality(String), person String, start_ns Int64, "
    "input String CODEC(ZSTD(3)), output String CODEC(ZSTD(3)), "
    "INDEX words lowerUTF8(concat(input, '\\n', output)) TYPE tokenbf_v1(8192, 3, 0) GRANULARITY 1) ENGINE = MergeTree "
    f"PARTITION BY intDiv(start_ns, 604800000000000) ORDER BY id {_SETTINGS}, index_granularity = 256",
)


class ClickhouseValues:
    """The values of one statement, by name."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def bind(self, value: str | int | float) -> str:
        name = f"p{len(self.given)}"
        self.given[name] = str(value)
        return f"{{{name}:{'String' if isinstance(value, str) else 'Int64' if isinstance(value, int) else 'Float64'}}}"


class ClickhouseDialect:
    """ClickHouse's words; see `penstock.storage.telemetry.dialect`."""

    def values(self) -> ClickhouseValues:
        return ClickhouseValues()

    def trace(self, bound: str) -> str:
        return f"toUUID(replaceRegexpOne({bound}, '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})', '\\\\1-\\\\2-\\\\3-\\\\4-'))"

    def span(self, bound: str) -> str:
        return f"reinterpretAsUInt64(reverse(unhex({bound})))"

    def shown(self, column: str) -> str:
        match column:
            case "trace_id":
                return "replaceAll(toString(trace_id), '-', '')"
            case "span_id":
                return "lower(leftPad(hex(span_id), 16, '0'))"
            case "parent_id":
                return "if(parent_id = 0, '', lower(leftPad(hex(parent_id), 16, '0')))"
            case _:
                return column

    def whole(self, number: str, by: int) -> str:
        return f"intDiv({number}, {int(by)})"

    def attribute(self, column: str, path: str) -> str:
        return f"if(JSONType({column}, {path}) = 'String', JSONExtractString({column}, {path}), JSONExtractRaw({column}, {path}))"

    def gathered(self, number: str) -> str:
        return f"groupArray(toInt64({number}))"

    def one_of(self, column: str, numbers: Sequence[int]) -> str:
        return f"{column} IN ({', '.join(str(int(one)) for one in numbers) or 'NULL'})"

    def first(self, columns: str, condition: str, order: str, limit: int) -> str:
        return f"SELECT {columns} FROM spans WHERE {condition} ORDER BY {order} LIMIT {int(limit)}"

    def digest(self, text: str) -> str:
        return f"lower(hex(MD5({text})))"
