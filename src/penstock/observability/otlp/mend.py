"""What is wrong with the spans of a request in themselves and with each other: refused or repaired, and counted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.observability.otlp.normalise import COUNTED_WITHIN
from penstock.observability.otlp.sent import Attributes, Origin, Sent, Tally
from penstock.storage.telemetry.span import Span

EARLIEST_NS = 946_684_800_000_000_000
"""The year 2000: who sends less has sent something else than nanoseconds."""

LATEST_NS = (1 << 63) - 1

_ZERO_TRACE = "0" * 32
_ZERO_SPAN = "0" * 16


def mend(spans: Sequence[Sent], now_ns: int, tolerance_ns: int, tally: Tally) -> list[Sent]:
    """The spans that are kept, repaired in place. ``tolerance_ns`` is how far ahead of ours a clock may be."""
    kept: list[Sent] = []
    known: dict[str, Sent] = {}
    repaired, refused = tally.repaired, tally.refused
    horizon = now_ns + tolerance_ns
    ahead = False
    for span in spans:
        id, parent = span.span, span.parent
        if len(id) != 16 or len(span.trace) != 32 or id == _ZERO_SPAN or span.trace == _ZERO_TRACE:
            refused["invalid_id"] += 1
            continue
        if parent and (len(parent) != 16 or parent == _ZERO_SPAN):
            if parent.strip("0"):
                repaired["invalid_parent"] += 1
            span.parent = ""
        start, end = span.start, span.end
        if start < EARLIEST_NS or end > horizon or end < start:
            if not _times(span, now_ns, repaired):
                refused["time_out_of_range"] += 1
                continue
            ahead = ahead or span.end > horizon
        held = known.setdefault(id, span)
        if held is not span and held.trace == span.trace:
            if _same(held, span):
                repaired["duplicate_dropped"] += 1
            else:
                refused["duplicate"] += 1
            continue
        kept.append(span)
    if ahead:
        _turn_back(kept, now_ns, horizon, tally)
    _cycles(kept, known, tally)
    return kept


def _times(span: Sent, now_ns: int, repaired: dict[str, int]) -> bool:
    """Give the span times that hold together; False when they are no times."""
    if span.start == 0 and span.end == 0:
        span.start = span.end = now_ns
        repaired["no_time"] += 1
    elif span.start == 0:
        span.start = span.end
        repaired["no_time"] += 1
    if span.end < span.start:
        if span.end:
            repaired["end_before_start"] += 1
        else:
            repaired["no_time"] += 1
        span.end = span.start
    return EARLIEST_NS <= span.start <= span.end <= LATEST_NS


def _same(one: Sent, other: Sent) -> bool:
    return msgspec.structs.astuple(one)[:-1] == msgspec.structs.astuple(other)[:-1]


def _turn_back(spans: Sequence[Sent], now_ns: int, horizon: int, tally: Tally) -> None:
    """Move what lies in the future to now: all spans of a program together when all of them do, so that they keep their order."""
    programs: dict[int, tuple[Origin, list[Sent]]] = {}
    for span in spans:
        programs.setdefault(id(span.origin.resource), (span.origin, []))[1].append(span)
    for _, group in programs.values():
        ahead = [span for span in group if span.end > horizon]
        if not ahead:
            continue
        together = len(ahead) == len(group) and len(group) > 1
        shift = max(span.end for span in group) - now_ns
        for span in ahead:
            back = shift if together else span.end - now_ns
            span.attributes["penstock.moved_back_ns"] = back
            # A span that claims to be older than the epoch of its clock keeps at least its end.
            span.start, span.end = max(span.start - back, EARLIEST_NS), span.end - back
            for event in span.events:
                event.at -= back
        tally.repaired["clock_skew" if together else "future"] += len(ahead)


def _cycles(spans: Sequence[Sent], known: dict[str, Sent], tally: Tally) -> None:
    """Make a root of one span in each circle of parents."""
    sound: set[str] = set()
    for span in spans:
        if not span.parent or span.parent not in known:
            continue
        path: dict[str, Sent] = {}
        at: Sent | None = span
        while at is not None and at.span not in sound and at.span not in path:
            path[at.span] = at
            above = known.get(at.parent) if at.parent else None
            at = above if above is not None and above.trace == at.trace else None
        if at is not None and at.span in path:
            ids = list(path)
            circle = [path[id] for id in ids[ids.index(at.span) :]]
            min(circle, key=lambda one: (one.start, -one.end)).parent = ""
            tally.repaired["cyclic_parent"] += 1
        sound.update(path)


def count_once(spans: Sequence[Span]) -> None:
    """Where a call was recorded twice, by a framework and by the client beneath it, only the inner one is a call with tokens and a cost."""
    calls = {span.span_id: span for span in spans if span.kind == "call"}
    outer_of = [(outer, inner) for inner in calls.values() if (outer := calls.get(inner.parent_id)) is not None]
    for outer, inner in outer_of:
        if outer.kind != "call" or outer.trace_id != inner.trace_id or outer is inner:
            continue
        counted_within(outer, inner.span_id)


def counted_within(outer: Span, inner: str) -> None:
    """Make a step of a call whose tokens and cost are those of the span ``inner``; what it said of them stays among its attributes."""
    left: Attributes = msgspec.json.decode(outer.attributes) if outer.attributes else {}
    left[COUNTED_WITHIN] = inner
    for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_micros"):
        value = getattr(outer, name)
        if value is not None:
            left[f"sum.{name}"] = value
            setattr(outer, name, None)
    outer.kind, outer.currency = "step", ""
    outer.attributes = msgspec.json.encode(left).decode()
