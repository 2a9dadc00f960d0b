"""What the spans tell over time: how long calls take, how many fail, are refused or blocked, what they use and cost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from penstock.kernel.errors import RequestError, StorageError
from penstock.kernel.measures import Asked, Example, Measure, Reading, Unit
from penstock.observability.health.examples import Examples
from penstock.storage.telemetry.questions import MAX_LIMIT, MAX_POINTS, Filter, Measures, Point
from penstock.storage.telemetry.store import TelemetryStore

DIMENSIONS = frozenset(
    {
        "task",
        "model",
        "answered",
        "provider",
        "team",
        "project",
        "key",
        "service",
        "release",
        "environment",
        "agent",
        "tool",
        "operation",
        "prompt",
        "kind",
        "source",
    }
)
"""What spans are narrowed to and grouped by here. ``release`` is the program's, ``answered`` the model's version that answered, ``prompt``
the stored prompt's (``name@number``)."""

REST = "…"
BLOCKED = "block"

Figure = Callable[[Measures, int], float | None]
"""A value from what was counted, and from how many of it a guard blocked."""


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _known(
    name: str, title: str, unit: Unit, help: str, figure: Figure, worse: Literal["up", "down"] | None = "up", *, mean: bool = False
) -> tuple[Measure, Figure]:
    return Measure(name=name, title=title, unit=unit, help=help, dimensions=DIMENSIONS, worse=worse, mean=mean), figure


_KNOWN = (
    _known("latency_p50_ms", "Latency, median", "ms", "Half of the calls took at most this long.", lambda m, _: m.p50_ms),
    _known("latency_p95_ms", "Latency, 95th percentile", "ms", "95 % of the calls took at most this long.", lambda m, _: m.p95_ms),
    _known("latency_p99_ms", "Latency, 99th percentile", "ms", "99 % of the calls took at most this long.", lambda m, _: m.p99_ms),
    _known(
        "first_token_p50_ms",
        "First token, median",
        "ms",
        "Half of the streamed replies began within this time.",
        lambda m, _: m.first_token_p50_ms,
    ),
    _known(
        "first_token_p95_ms",
        "First token, 95th percentile",
        "ms",
        "95 % of the streamed replies began within this time.",
        lambda m, _: m.first_token_p95_ms,
    ),
    _known(
        "error_rate",
        "Failed",
        "share",
        "Calls that failed, of all calls; refused and cancelled ones have not failed.",
        lambda m, _: _share(m.failed, m.spans),
    ),
    _known(
        "refusal_rate",
        "Refused",
        "share",
        "Calls that were refused, by a limit, a budget or a policy, of all calls.",
        lambda m, _: _share(m.refused, m.spans),
    ),
    _known(
        "blocked_rate",
        "Blocked by a guard",
        "share",
        "Calls of which a guard's severest verdict was to block, of all calls.",
        lambda m, blocked: _share(blocked, m.spans),
    ),
    _known(
        "flagged_rate",
        "Flagged",
        "share",
        "Calls that something or someone flagged, of all calls.",
        lambda m, _: _share(m.flagged, m.spans),
    ),
    _known("calls", "Calls", "count", "Calls that began in this step.", lambda m, _: float(m.spans), None),
    _known("spend_usd", "Spend", "usd", "What the calls of this step cost, as priced when they ended.", lambda m, _: m.cost_micros / 1e6),
    _known(
        "cost_per_call_usd",
        "Cost of a call",
        "usd",
        "Spend of this step divided by its calls.",
        lambda m, _: _share(m.cost_micros / 1e6, m.spans),
        mean=True,
    ),
    _known("input_tokens", "Tokens in", "tokens", "Tokens of prompts, cached ones included.", lambda m, _: float(m.input_tokens)),
    _known("output_tokens", "Tokens out", "tokens", "Tokens of replies, reasoning included.", lambda m, _: float(m.output_tokens)),
    _known(
        "output_tokens_per_call",
        "Length of a reply",
        "tokens",
        "Tokens of replies divided by calls.",
        lambda m, _: _share(m.output_tokens, m.spans),
        None,
        mean=True,
    ),
    _known(
        "cached_share",
        "Tokens from caches",
        "share",
        "Of the tokens of prompts, those that came from a cache.",
        lambda m, _: _share(m.cached_tokens, m.input_tokens),
        "down",
    ),
)

FIGURES: Mapping[str, Figure] = {measure.name: figure for measure, figure in _KNOWN}
MEASURES: tuple[Measure, ...] = tuple(measure for measure, _ in _KNOWN)
"""Every measure of spans, in the order in which pages show them. All are counted over every span kept, so none has an interval."""

PROPORTIONS = frozenset({"error_rate", "refusal_rate", "blocked_rate", "flagged_rate"})
"""Shares of calls: each call is either of them or not."""


class SpanMeasures:
    """The measures of calls, from the store of spans; none where that is off.

    Calls are meant unless ``equal`` names another ``kind``. A step before which ``since`` lies in its middle has only what came after.
    """

    def __init__(self, store: Callable[[], TelemetryStore | None]) -> None:
        self._store = store

    @property
    def measures(self) -> Sequence[Measure]:
        return MEASURES if self._store() is not None else ()

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        figures = [(name, FIGURES[name]) for name in names]
        if not asked.step > 0 or (asked.until - asked.since) / asked.step > MAX_POINTS:
            raise RequestError(f"a series has at most {MAX_POINTS} steps; take longer ones", param="step")
        which = spans_of(asked)
        found: dict[str, list[Reading]] = {name: [] for name in names}
        for since, until in _whole_steps(asked):
            # Half a step at the beginning is asked for by itself, so that every other step begins at a whole multiple.
            part = _during(which, since, until)
            points, blocked = await self._points(part, asked, "blocked_rate" in names)
            for point in points:
                moment = math.floor((point.at_ns / 1e9 + 1e-6) / asked.step) * asked.step
                count = blocked.get((point.at_ns, point.group), 0)
                for name, figure in figures:
                    value = figure(point.measures, count)
                    found[name].append(Reading(at=moment, value=value, count=point.measures.spans, group=point.group))
        return found

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        which = _during(spans_of(asked), asked.since, asked.until)
        return await Examples(self._opened()).worst(name, which, limit)

    async def _points(self, which: Filter, asked: Asked, verdicts: bool) -> tuple[list[Point], dict[tuple[int, str], int]]:
        store, step = self._opened(), round(asked.step * 1e9)
        if not verdicts:
            return await store.series(which, step, asked.by, asked.groups), {}
        equal = {**which.equal, "verdict": (BLOCKED,)}
        refused = Filter(organisation=which.organisation, since_ns=which.since_ns, until_ns=which.until_ns, equal=equal)
        # All groups of what was blocked, since its largest need not be those of the calls.
        points, blocked = await asyncio.gather(
            store.series(which, step, asked.by, asked.groups), store.series(refused, step, asked.by, MAX_LIMIT if asked.by else 1)
        )
        shown = {point.group for point in points}
        counted: dict[tuple[int, str], int] = {}
        for point in blocked:
            key = (point.at_ns, point.group if point.group in shown else REST)
            counted[key] = counted.get(key, 0) + point.measures.spans
        return points, counted

    def _opened(self) -> TelemetryStore:
        store = self._store()
        if store is None:
            raise StorageError("spans are not stored here: storage.telemetry is off")
        return store


def spans_of(asked: Asked) -> Filter:
    """Which spans are meant, whatever the period. Raises `RequestError` for what they have no dimension of."""
    for dimension in (*asked.equal, *((asked.by,) if asked.by else ())):
        if dimension not in DIMENSIONS:
            raise RequestError(
                f"{dimension!r} is nothing that calls are asked by; there are {', '.join(sorted(DIMENSIONS))}", param=dimension
            )
    return Filter(organisation=asked.organisation, equal={"kind": ("call",), **asked.equal})


def _during(which: Filter, since: float, until: float) -> Filter:
    return Filter(organisation=which.organisation, equal=which.equal, since_ns=math.ceil(since * 1e9), until_ns=math.ceil(until * 1e9))


def _whole_steps(asked: Asked) -> Iterable[tuple[float, float]]:
    first = math.ceil(asked.since / asked.step) * asked.step
    if asked.since < first:
        yield asked.since, min(first, asked.until)
    if first < asked.until:
        yield first, asked.until
