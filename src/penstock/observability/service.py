"""Answers the questions about calls that pages, the API and alerts ask."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from sqlalchemy import ColumnElement

from penstock.kernel.call import Attempt, StageTime, Verdict
from penstock.kernel.choice import Choice
from penstock.kernel.errors import NotFound
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Recall
from penstock.kernel.web import Moment
from penstock.observability import store
from penstock.observability.payloads import CONDENSED, Side
from penstock.observability.rows import stage_times
from penstock.observability.sketch import Sketch
from penstock.observability.tables import calls, id_at
from penstock.observability.transcript import Transcript, read_condensed, read_reply, read_request
from penstock.storage.records import Records

Group = Literal["task", "model", "team", "provider", "key", "project"]
T = TypeVar("T")
FRACTIONS = (0.5, 0.95, 0.99)
_COLUMN = {"key": "key_id"}


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls are meant; times are Unix seconds, the rest exact values, None does not restrict."""

    since: Moment | None = None
    until: Moment | None = None
    task: str | None = None
    model: str | None = None
    provider: str | None = None
    team: str | None = None
    project: str | None = None
    key: str | None = None
    outcome: Literal["ok", "refused", "failed", "cancelled"] | None = None
    error: str | None = None
    trace: str | None = None
    prompt: str | None = None
    slower_ms: float | None = None


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call on the record. ``started_at`` in Unix milliseconds, ``cost_micros`` in micro-units; owners are ids."""

    id: str
    started_at: int
    organisation: str | None
    team: str | None
    project: str | None
    person: str | None
    key_id: str | None
    task: str | None
    model: str
    provider: str | None
    provider_model: str | None
    operation: str
    shape: str
    stream: bool
    status: int
    outcome: str
    error_code: str | None
    error_message: str | None
    queued_ms: float
    first_token_ms: float | None
    total_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_written_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool | None
    cost_micros: int | None
    currency: str | None
    priced: bool | None
    trace_id: str
    span_id: str
    parent_id: str | None
    labels: dict[str, str]
    attempts: list[Attempt]
    stages: list[StageTime]
    verdicts: list[Verdict]
    notes: list[str]
    recalled: Recall | None
    measures: dict[str, int]
    """What was used beside tokens: ``images``, ``audio_ms``, ``characters``, ``searches``."""
    prompt: str | None = None
    """The stored prompt that the call named: ``name@number``."""
    choice: Choice | None = None
    """Why its models were chosen, where evidence chose. ``GET /v1/calls/{id}/why`` says more."""


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of calls, newest first."""

    data: list[CallRow]
    next_cursor: str | None


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt and reply as they were kept: text, whether it was cut, how many secrets were replaced; None when nothing was kept."""

    request: str | None = None
    reply: str | None = None
    request_cut: bool = False
    reply_cut: bool = False
    redacted: int = 0
    request_turns: Transcript | None = None
    reply_turns: Transcript | None = None
    organisation: str | None = None
    """Whose call it is."""

    @property
    def kept(self) -> bool:
        """Whether there is anything to see."""
        return bool(self.request or self.reply)


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one step of time, which begins at ``at`` (Unix seconds). Latencies in milliseconds, None where there were no calls."""

    at: int
    calls: int
    errors: int
    p50: float | None
    p95: float | None
    p99: float | None
    first_p50: float | None
    cost_micros: int
    tokens: int


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one group."""

    group: str
    calls: int
    errors: int
    p50: float | None
    p95: float | None
    cost_micros: int
    tokens: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a period: totals, steps of time, groups. Percentiles are within 1 % of the exact ones."""

    since: int
    until: int
    step: int
    calls: int
    errors: int
    refused: int
    cancelled: int
    p50: float | None
    p95: float | None
    p99: float | None
    first_p50: float | None
    first_p95: float | None
    cost_micros: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    buckets: list[Bucket]
    groups: list[Share]
    group: Group


class _Sum:
    __slots__ = ("calls", "cost", "errors", "first", "input", "output", "total", "unpriced")

    def __init__(self) -> None:
        self.calls = self.errors = self.cost = self.unpriced = self.input = self.output = 0
        self.total, self.first = Sketch(), Sketch()

    def add(self, row: Mapping[str, Any]) -> None:
        self.calls += row["calls"]
        self.errors += row["calls"] if row["outcome"] == "failed" else 0
        self.cost += row["cost_micros"]
        self.unpriced += row["unpriced"]
        self.input += row["input_tokens"]
        self.output += row["output_tokens"]
        if row["outcome"] == "ok":
            # How long a reply takes; refusals end at once and would make everything look fast.
            self.total.merge(row["total_ms"])
            self.first.merge(row["first_token_ms"])


class Questions:
    """The service. ``flush`` stores what has ended, so that an answer includes it."""

    def __init__(self, records: Records, flush: Callable[[], Awaitable[None]], clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._flush = flush
        self._clock = clock

    async def calls(self, reader: Principal, wanted: CallFilter, cursor: str | None, limit: int) -> CallPage:
        """A page of calls that ``reader`` may see."""
        await self._flush()
        where = [*_where(wanted), *_visible(reader)]
        rows = await self._records.read(lambda c: store.page(c, where, cursor, limit + 1))
        return CallPage(data=[_row(r) for r in rows[:limit]], next_cursor=rows[limit - 1]["id"] if len(rows) > limit else None)

    async def call(self, reader: Principal, id: str) -> CallRow:
        """One call. Raises `NotFound`, also for a call of another organisation."""
        await self._flush()
        row = await self._records.read(lambda c: store.one(c, id, _visible(reader)))
        if row is None:
            raise NotFound(f"no call {id[:100]!r}; it may be older than the retention")
        return _row(row)

    async def payload(self, reader: Principal, id: str) -> Payload:
        """Prompt and reply of a call, as far as they were kept. Raises `NotFound` as `call` does."""
        await self._flush()

        def work(connection: store.Connection) -> tuple[Mapping[str, Any] | None, store.Entry | None]:
            row = store.one(connection, id, _visible(reader))
            if row is None or row["payload"] is None:
                return row, None
            return row, store.payload(connection, row["payload"], id)

        row, entry = await self._records.read(work)
        if row is None:
            raise NotFound(f"no call {id[:100]!r}; it may be older than the retention")
        if entry is None:
            return Payload()
        shape, ask, told = row["shape"], entry.request, entry.reply
        reply_turns = read_condensed(told.content()) if told.form == CONDENSED else read_reply(shape, told.content())
        return Payload(
            request=_text(ask),
            reply=_text(told),
            request_cut=ask.cut,
            reply_cut=told.cut,
            redacted=ask.redacted + told.redacted,
            request_turns=read_request(shape, ask.content()),
            reply_turns=reply_turns,
            organisation=row["organisation"],
        )

    async def overview(self, reader: Principal, seconds: int, group: Group) -> Overview:
        """The last ``seconds`` in about sixty steps, and its groups, the busiest first."""
        await self._flush()
        step = max(60, seconds // 60 // 60 * 60)
        until = (int(self._clock()) // step + 1) * step
        since = until - max(step, seconds // step * step)
        rows = await self._records.read(lambda c: store.summaries(c, since, until, reader.reach))
        whole = _Sum()
        steps: dict[int, _Sum] = defaultdict(_Sum)
        groups: dict[str, _Sum] = defaultdict(_Sum)
        outcomes: dict[str, int] = defaultdict(int)
        for row in rows:
            whole.add(row)
            steps[row["period"] // step * step].add(row)
            groups[row[_COLUMN.get(group, group)] or ""].add(row)
            outcomes[row["outcome"]] += row["calls"]
        p50, p95, p99 = whole.total.percentiles(FRACTIONS)
        first = whole.first.percentiles((0.5, 0.95))
        return Overview(
            since=since,
            until=until,
            step=step,
            calls=whole.calls,
            errors=outcomes["failed"],
            refused=outcomes["refused"],
            cancelled=outcomes["cancelled"],
            p50=p50,
            p95=p95,
            p99=p99,
            first_p50=first[0],
            first_p95=first[1],
            cost_micros=whole.cost,
            unpriced=whole.unpriced,
            input_tokens=whole.input,
            output_tokens=whole.output,
            buckets=[_bucket(at, steps[at] if at in steps else _Sum()) for at in range(since, until, step)],
            groups=[_share(name, s) for name, s in sorted(groups.items(), key=lambda item: -item[1].calls)[:20]],
            group=group,
        )


def _bucket(at: int, s: _Sum) -> Bucket:
    p50, p95, p99 = s.total.percentiles(FRACTIONS)
    (first,) = s.first.percentiles((0.5,))
    return Bucket(
        at=at, calls=s.calls, errors=s.errors, p50=p50, p95=p95, p99=p99, first_p50=first, cost_micros=s.cost, tokens=s.input + s.output
    )


def _share(name: str, s: _Sum) -> Share:
    p50, p95 = s.total.percentiles((0.5, 0.95))
    return Share(group=name, calls=s.calls, errors=s.errors, p50=p50, p95=p95, cost_micros=s.cost, tokens=s.input + s.output)


def _visible(reader: Principal) -> Sequence[ColumnElement[bool]]:
    """Whose calls these may be; nobody's, such as those with a wrong key, are for who administers the installation."""
    return () if reader.reach is None else (calls.c.organisation == reader.reach,)


def _where(wanted: CallFilter) -> Sequence[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        where.append(calls.c.id >= id_at(wanted.since * 1000))
    if wanted.until is not None:
        where.append(calls.c.id < id_at(wanted.until * 1000))
    if wanted.error is not None:
        where.append(calls.c.error_code == wanted.error)
    if wanted.trace is not None:
        where.append(calls.c.trace_id == wanted.trace)
    if wanted.slower_ms is not None:
        where.append(calls.c.total_ms >= wanted.slower_ms)
    for name in ("task", "model", "provider", "team", "project", "key", "outcome", "prompt"):
        value = getattr(wanted, name)
        if value is not None:
            where.append(calls.c[_COLUMN.get(name, name)] == value)
    return where


_JSON = frozenset({"labels", "attempts", "stages", "verdicts", "notes", "recalled", "measures", "choice"})


def _row(row: Mapping[str, Any]) -> CallRow:
    values: dict[str, Any] = {name: row[name] for name in CallRow.__struct_fields__ if name not in _JSON}
    return CallRow(
        labels=_json(row["labels"], dict[str, str]) or {},
        attempts=_json(row["attempts"], list[Attempt]) or [],
        stages=stage_times(row["stages"], row["total_ms"]),
        verdicts=_json(row["verdicts"], list[Verdict]) or [],
        notes=_json(row["notes"], list[str]) or [],
        recalled=_json(row["recalled"], Recall),
        measures=_json(row["measures"], dict[str, int]) or {},
        choice=_json(row["choice"], Choice),
        **values,
    )


def _json(text: str | None, kind: type[T]) -> T | None:
    return msgspec.json.decode(text, type=kind) if text else None


def _text(side: Side) -> str | None:
    return side.content().decode("utf-8", "replace") if side.data else None
