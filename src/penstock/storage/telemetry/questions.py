"""The questions that pages ask of the telemetry store, and what they are answered with."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry.span import DIMENSIONS, Span

MAX_LIMIT = 1000
"""Most rows, groups or threads of one answer."""

MAX_POINTS = 2000
"""Most steps that a series may have in its period."""


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which spans are meant: those that meet all that is said.

    ``organisation`` is the viewer's: a question without one (None) sees all, and is for operators only. The period is
    ``since_ns <= start < until_ns``. ``equal`` has values by dimension, of which one must match; ``unequal`` those that must not.
    ``text`` is looked for in prompts and replies: all its words, a part in "quotation marks" as a phrase, ``word*`` for a beginning.
    ``attributes`` are equal to what the sender's attributes say, by key, numbers and booleans as JSON writes them.
    ``roots`` leaves only spans without a parent.
    """

    organisation: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    equal: Mapping[str, tuple[str, ...]] = {}
    unequal: Mapping[str, tuple[str, ...]] = {}
    attributes: Mapping[str, str] = {}
    text: str = ""
    min_ms: float | None = None
    max_ms: float | None = None
    min_cost_micros: int | None = None
    roots: bool = False
    flagged: bool | None = None

    def __post_init__(self) -> None:
        for name in (*self.equal, *self.unequal):
            if name not in DIMENSIONS:
                raise RequestError(f"{name!r} is nothing that spans are asked by; there are {', '.join(sorted(DIMENSIONS))}", param=name)


class Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spans, newest first, without payloads, attributes, events and links; ``cursor`` asks for those that follow, empty at the end."""

    spans: list[Span]
    cursor: str = ""


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A span with all that is known of it, and whether a prompt or reply is stored with it; `TelemetryStore.payload` has that."""

    span: Span
    payload: bool = False


class Measures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is counted over some spans: counts and sums exactly, quantiles as estimates within some 1 %.

    Times are milliseconds, None where no span has one. Refused and cancelled spans are not ``failed``.
    """

    spans: int = 0
    failed: int = 0
    refused: int = 0
    flagged: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_micros: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    first_token_p50_ms: float | None = None
    first_token_p95_ms: float | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The measures of one step of time, and of one group where grouping was asked for (else ``group`` is empty)."""

    at_ns: int
    group: str
    measures: Measures


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The measures of the spans that have these values of the dimensions asked by, in their order."""

    values: tuple[str, ...]
    measures: Measures


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation: all spans of one session. Of several persons or agents in it, the last by name are shown."""

    session: str
    organisation: str
    first_ns: int
    last_ns: int
    traces: int
    spans: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    person: str = ""
    agent: str = ""


class Threads(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations, the one that was spoken in last first; ``cursor`` asks for those that follow."""

    threads: list[Thread]
    cursor: str = ""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the spans of one organisation are kept; ``organisation`` None: of all that have no rule of their own.

    What is interesting (not ``ok``, flagged, at least ``slow_ms`` or ``costly_micros``) is kept for ``keep_days``, with the whole of
    its trace; the rest for ``span_days``, of which the share ``sample`` survives the first ``whole_days``. Traces are kept or
    dropped whole, and the same ones on every machine. Payloads go after ``payload_days``, whatever becomes of their spans.
    """

    organisation: str | None = None
    span_days: float = 30.0
    keep_days: float = 90.0
    payload_days: float = 14.0
    sample: float = 1.0
    whole_days: float = 1.0
    slow_ms: float | None = None
    costly_micros: int | None = None


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """How much a round of retention, or an erasure, took away."""

    spans: int = 0
    payloads: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the store. ``waiting`` are batches that are safe and cannot be asked about yet; ``repeated`` counts spans that came
    again and were left out, ``unreadable`` batches that were set aside, both since the store was opened."""

    engine: str
    spans: int
    payloads: int
    bytes: int
    oldest_ns: int | None
    waiting: int
    repeated: int
    unreadable: int


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is, which nobody need have started: ``where`` it is, the ``bytes`` that it takes, how many batches are ``waiting`` to be
    stored, for how many seconds the oldest of them has been, and how many were ``set_aside`` since they could not be read."""

    where: str
    bytes: int
    waiting: int = 0
    waiting_seconds: float = 0.0
    set_aside: int = 0
