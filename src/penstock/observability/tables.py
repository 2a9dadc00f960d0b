"""The tables of calls, of their payloads, and of the counted summaries behind the overview.

A call's id begins with its start to the millisecond, so the primary key of ``calls`` is also the index over time: every question
about a period is a range of ids (`id_at`), and a page of the list begins where the last one ended.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, SmallInteger, Table, Text, text

from penstock.storage.schema import metadata

METADATA = metadata()

calls = Table(
    "calls",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),  # Unix milliseconds
    Column("organisation", Text),  # owner ids, all null for a caller that was not known
    Column("team", Text),
    Column("project", Text),
    Column("person", Text),
    Column("key_id", Text),
    Column("task", Text),
    Column("model", Text, nullable=False),  # as asked for
    Column("provider", Text),  # that served it, or was tried last
    Column("provider_model", Text),
    Column("operation", Text, nullable=False),
    Column("shape", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("queued_ms", Double, nullable=False),
    Column("first_token_ms", Double),  # streams only
    Column("total_ms", Double, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("cache_written_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("audio_tokens", BigInteger),
    Column("usage_estimated", Boolean),
    Column("cost_micros", BigInteger),
    Column("currency", Text),
    Column("priced", Boolean),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("parent_id", Text),
    Column("labels", Text),  # JSON, as are the following four
    Column("attempts", Text),
    Column("stages", Text),
    Column("verdicts", Text),
    Column("notes", Text),
    Column("payload", BigInteger),  # call_payloads.id
    Column("recalled", Text),  # JSON: where the reply came from, when no provider was asked
    Column("measures", Text),  # JSON: what was used beside tokens
    Column("prompt", Text),  # the stored prompt that the call named: name@number
    Column("choice", Text),  # JSON: why its models were chosen, where evidence chose
)
# Small because most calls are well and begin their own trace: the questions that look for needles find them without reading the hay.
Index("ix_calls_not_ok", calls.c.id, postgresql_where=text("outcome <> 'ok'"), sqlite_where=text("outcome <> 'ok'"))
Index("ix_calls_trace", calls.c.trace_id, postgresql_where=text("parent_id IS NOT NULL"), sqlite_where=text("parent_id IS NOT NULL"))

Index("ix_calls_person", calls.c.person, postgresql_where=text("person IS NOT NULL"), sqlite_where=text("person IS NOT NULL"))

# Prompts and replies of the calls that were stored together: one row of a megabyte costs a quarter of what a thousand small ones do.
call_payloads = Table(
    "call_payloads",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # Unix milliseconds << 20 | 20 random bits
    Column("entries", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),  # see penstock.observability.payloads
)

# One row for each minute (later each hour), owner, model and outcome; a process writes the totals of its own rows again and again.
call_summaries = Table(
    "call_summaries",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("period", BigInteger, nullable=False),  # Unix seconds of its beginning
    Column("seconds", Integer, nullable=False),  # 60 or 3600
    Column("organisation", Text, nullable=False),  # the owners and names are empty, not null, when there are none
    Column("team", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("total_ms", Text, nullable=False),  # latency sketches, see penstock.observability.sketch
    Column("first_token_ms", Text, nullable=False),
)
Index("ix_call_summaries_period", call_summaries.c.period)

# What people and programs say of spans, which are in the telemetry store. The id begins with the moment, as all ids do.
trace_annotations = Table(
    "trace_annotations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),  # whose trace it is
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),  # empty: the trace as a whole
    Column("label", Text, nullable=False),
    Column("score", Double),
    Column("comment", Text, nullable=False),
    Column("author", Text, nullable=False),  # as it is shown; the two that follow are ids, empty where there is none
    Column("person", Text, nullable=False),
    Column("key_id", Text, nullable=False),
)
Index("ix_trace_annotations_trace_id", trace_annotations.c.trace_id)
Index("ix_trace_annotations_organisation_label_id", trace_annotations.c.organisation, trace_annotations.c.label, trace_annotations.c.id)


def id_at(milliseconds: float) -> str:
    """The least id that a call which started at this moment (Unix milliseconds) or later can have."""
    return f"call_{max(0, int(milliseconds)):012x}"
