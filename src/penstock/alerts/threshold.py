"""A measure beyond a number for a while: what the readings of one group prove."""

from __future__ import annotations

import math
from collections.abc import Sequence

from penstock.alerts.model import Threshold, Verdict
from penstock.kernel.measures import Reading, Unit
from penstock.statistics.bounds import clopper_pearson

SLACK = 0.1
"""How far on the good side of a threshold an alert ends, as a share of it, where its rule does not say."""


def span(terms: Threshold, now: float) -> tuple[float, float]:
    """From when to when readings are needed: whole steps, and the one that has begun."""
    step = terms.step_seconds
    begun = math.floor(now / step) * step
    back = max(_steps(terms.for_seconds, step), _steps(terms.clear_seconds or terms.for_seconds, step))
    return begun - back * step, begun + step


def judge(terms: Threshold, unit: Unit, readings: Sequence[Reading], now: float, *, summed: bool = False) -> Verdict:
    """What ``readings`` (in order of time) say. ``bad`` when every reading of the window is beyond the threshold, at least half of its
    steps have one and enough is behind them; ``good`` when it has been clear of it; ``unclear`` in between and where there is too
    little. ``summed``: a step without a reading is one of 0, and one that has not ended yet can only grow."""
    step, up = terms.step_seconds, terms.above is not None
    limit = terms.above if terms.above is not None else terms.below
    assert limit is not None
    begun = math.floor(now / step) * step
    known = [one for one in readings if one.value is not None]
    if summed:
        known = _with_zeros(known, span(terms, now)[0], begun, step)
    running = next((one for one in known if one.at >= begun), None)
    steps = _steps(terms.for_seconds, step)
    window = [one for one in known if begun - steps * step <= one.at < begun]
    if summed and up and running is not None and _beyond(running, limit, up=True) and running.count >= terms.at_least:
        # A sum that is over the limit before its step has ended is over it.
        earlier = window[1:] if len(window) == steps else window
        if steps == 1 or (len(earlier) >= steps - 1 and all(_beyond(one, limit, up=True) for one in earlier)):
            return _verdict("bad", running, running.count, limit, min((one.at for one in earlier), default=running.at), "over")
    if not window:
        return Verdict(state="unclear", limit=limit, told="no readings")
    count, last = sum(one.count for one in window), window[-1]
    beyond = all(_beyond(one, limit, up=up) for one in window)
    if beyond and terms.sure and unit == "share":
        last, beyond = _pooled(window, limit, up=up)
    if beyond and count >= terms.at_least and len(window) * 2 >= steps:
        return _verdict("bad", last, count, limit, window[0].at, "above" if up else "below")
    if _cleared(terms, known, begun, limit, up=up):
        return _verdict("good", window[-1], count, limit, window[0].at, "")
    return _verdict("unclear", window[-1], count, limit, window[-1].at, "")


def _with_zeros(known: Sequence[Reading], since: float, until: float, step: int) -> list[Reading]:
    there = {one.at: one for one in known}
    every = [since + number * step for number in range(round((until - since) / step))]
    return [there.get(at) or Reading(at=at, value=0.0, count=0) for at in every] + [one for one in known if one.at >= until]


def clear_at(terms: Threshold) -> float:
    """The value up to which the measure must come back before the alert ends."""
    limit = terms.above if terms.above is not None else terms.below
    assert limit is not None
    if terms.clear is not None:
        return terms.clear
    return limit - abs(limit) * SLACK if terms.above is not None else limit + abs(limit) * SLACK


def _cleared(terms: Threshold, known: Sequence[Reading], begun: float, limit: float, *, up: bool) -> bool:
    edge, step = clear_at(terms), terms.step_seconds
    steps = _steps(terms.clear_seconds or terms.for_seconds, step)
    window = [one for one in known if begun - steps * step <= one.at < begun]
    values = [one.value for one in window if one.value is not None]
    return len(window) * 2 >= steps and all(value <= edge if up else value >= edge for value in values)


def _beyond(one: Reading, limit: float, *, up: bool) -> bool:
    """Whether a reading is beyond the limit: an estimate only where its whole interval is."""
    assert one.value is not None
    if up:
        return (one.low if one.low is not None else one.value) > limit
    return (one.high if one.high is not None else one.value) < limit


def _pooled(window: Sequence[Reading], limit: float, *, up: bool) -> tuple[Reading, bool]:
    """The share over the whole window with its interval, and whether that is beyond the limit."""
    count = sum(one.count for one in window)
    if not count or any(one.low is not None for one in window):  # estimates bring intervals of their own
        return window[-1], bool(count)
    hits = round(sum((one.value or 0.0) * one.count for one in window))
    low, high = clopper_pearson(min(hits, count), count)
    pooled = Reading(at=window[-1].at, value=hits / count, count=count, group=window[-1].group, low=low, high=high)
    return pooled, _beyond(pooled, limit, up=up)


def _verdict(state: str, one: Reading, count: int, limit: float, since: float, told: str) -> Verdict:
    assert state in ("bad", "good", "unclear")
    return Verdict(state=state, value=one.value, low=one.low, high=one.high, limit=limit, count=count, since=since, told=told)


def _steps(seconds: float, step: int) -> int:
    return max(1, math.ceil(seconds / step))
