"""Spikes and shifts of level against what is usual at this hour: no threshold to choose.

A reading is compared with the median of the same hour of earlier days (of the week, given three weeks) on a scale that suits its unit, and
measured in robust deviations (1.4826 times the median absolute deviation around that median). A *spike* is several readings far from both
the season and the hours just before. A *shift* is a cumulative sum of half-hourly medians, each cut at a few deviations so that no single
spike makes one (Page's CUSUM, winsorised), over a bound that the series' own history would have crossed only rarely.

Chosen by benchmarks/alerts.py, beside ADWIN, a rolling z-score and Twitter-like seasonal deviations on the same series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from penstock.alerts.model import Detector, Verdict
from penstock.kernel.measures import Measure, Reading, Unit

DAY = 86_400.0
WEEK = 7 * DAY
RECENT = 6 * 3600.0
"""What is looked at and so is not part of what is usual."""
LOOKED = 24 * 3600.0
"""How far back a shift may have begun."""
BLOCK = 1800.0
LEAST_HISTORY = DAY
_MAD = 1.4826


class Bounds(msgspec.Struct, frozen=True):
    """``spike`` deviations in two of the last three readings make a spike; a sum over ``shift`` of what blocks deviate beyond ``slack``,
    each cut at ``cut``, makes a shift."""

    spike: float
    shift: float
    slack: float = 1.0
    cut: float = 4.0


SENSITIVITIES = {"low": Bounds(9.0, 14.0, 1.25), "normal": Bounds(6.5, 9.0), "high": Bounds(4.5, 6.0, 0.75)}


class Found(msgspec.Struct, frozen=True):
    """What stands out now: deviations of the spike, the sums of the shift upwards and downwards, what is usual, and since when."""

    spike: float
    up: float
    down: float
    usual: float
    deviation: float
    since: float
    own: float = 0.0
    """The largest sum that the history itself reached: a shift must be well above it."""


def span(terms: Detector, now: float) -> tuple[float, float]:
    """From when to when readings are needed."""
    step = terms.step_seconds
    begun = math.floor(now / step) * step
    return begun - math.ceil(terms.history_days * DAY / step) * step, begun


def judge(terms: Detector, measure: Measure, readings: Sequence[Reading], now: float) -> Verdict:
    """What the readings of one group say; ``unclear`` before there is a day of history, and where the last readings are missing."""
    step, bounds = terms.step_seconds, SENSITIVITIES[terms.sensitivity]
    scale, back = scaled(measure.unit)
    known = [(one.at, scale(one.value)) for one in readings if one.value is not None and one.count >= terms.at_least]
    last = readings[-1] if readings else None
    if last is None or not known or known[-1][0] < now - 4 * step or known[-1][0] - known[0][0] < LEAST_HISTORY:
        return Verdict(state="unclear", value=last.value if last is not None else None, told="too little to compare with")
    found = look(known, step)
    both = terms.direction == "both" or measure.worse is None
    sign = -1.0 if measure.worse == "down" else 1.0
    spike = abs(found.spike) if both else found.spike * sign
    shift = max(found.up, found.down) if both else (found.up if sign > 0 else found.down)
    edge = max(bounds.shift, 1.5 * found.own)
    is_spike = terms.kind != "shift" and spike >= bounds.spike
    is_shift = terms.kind != "spike" and shift >= edge
    upward = found.spike > 0 if is_spike and not is_shift else found.up >= found.down
    beyond = found.usual + found.deviation * bounds.spike * (1 if upward else -1)
    value, usual, limit = last.value, back(found.usual), back(beyond)
    if not is_spike and not is_shift:
        calm = spike < bounds.spike / 2 and shift < edge / 2
        return Verdict(state="good" if calm else "unclear", value=value, limit=limit, count=last.count)
    what = "a shift of level" if is_shift else "a spike"
    told = f"{what} of {measure.title.lower()}: {_amount(value, measure.unit)} where {_amount(usual, measure.unit)} is usual at this hour"
    since = found.since if is_shift else known[-1][0] - step
    return Verdict(state="bad", value=value, limit=limit, count=last.count, since=since, told=told)


def look(known: Sequence[tuple[float, float]], step: float, bounds: Bounds = SENSITIVITIES["normal"]) -> Found:
    """What stands out at the end of a series of moments and values on the detector's scale, at least a day long."""
    end = known[-1][0] + step
    history = [(at, value) for at, value in known if at < end - RECENT]
    usual_at = season(history, end)
    rests = [(at, value - usual_at(at)) for at, value in known]
    past = [rest for at, rest in rests if at < end - RECENT]
    deviation = max(spread(past), 1e-9)
    local = median([rest for at, rest in rests if end - RECENT <= at < end - 3 * step] or past[-36:] or [0.0])
    latest = sorted((rest - local) / deviation for at, rest in rests if at >= end - 3 * step)
    far = _second(latest)
    seasonal = _second(sorted(rest / deviation for at, rest in rests if at >= end - 3 * step))
    spike = math.copysign(min(abs(far), abs(seasonal)), far) if far * seasonal > 0 else 0.0
    blocks = halves(rests, end)
    old = [value for at, value in blocks if at < end - LOOKED]
    width = max(spread(old if len(old) >= 24 else [value for _, value in blocks]), deviation / math.sqrt(max(1.0, BLOCK / step)), 1e-9)
    recent = [(at, value / width) for at, value in blocks if at >= end - LOOKED]
    up, up_at = cusum(recent, 1.0, bounds)
    down, down_at = cusum(recent, -1.0, bounds)
    own = _own(old, width, bounds)
    return Found(spike, up, down, usual_at(known[-1][0]), deviation, up_at if up >= down else down_at, own)


def season(history: Sequence[tuple[float, float]], end: float) -> Callable[[float], float]:
    """What is usual at a moment: medians by hour, joined by straight lines; by hour of the week where there are three weeks of history."""
    period = WEEK if history and end - history[0][0] >= 3 * WEEK - DAY else DAY
    bins = int(period // 3600)
    by: list[list[float]] = [[] for _ in range(bins)]
    for at, value in history:
        by[int(at % period // 3600)].append(value)
    whole = median(value for _, value in history)
    levels = [median(values) if len(values) >= 3 else whole for values in by]

    def usual(at: float) -> float:
        place = (at % period) / 3600 - 0.5
        low = math.floor(place)
        part = place - low
        return levels[low % bins] * (1 - part) + levels[(low + 1) % bins] * part

    return usual


def halves(rests: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """Medians of half-hours that end with the series."""
    by: dict[int, list[float]] = {}
    for at, rest in rests:
        by.setdefault(int((end - at - 1e-6) // BLOCK), []).append(rest)
    return [(end - (number + 1) * BLOCK, median(values)) for number, values in sorted(by.items(), reverse=True)]


def cusum(blocks: Sequence[tuple[float, float]], sign: float, bounds: Bounds) -> tuple[float, float]:
    """The cumulative sum at the end of deviations beyond the slack, and when it last left zero."""
    total, since = 0.0, blocks[-1][0] if blocks else 0.0
    for at, value in blocks:
        before = total
        total = max(0.0, total + min(bounds.cut, max(-bounds.cut, value * sign)) - bounds.slack)
        if before == 0.0 and total > 0.0:
            since = at
    return total, since


def _own(old: Sequence[float], width: float, bounds: Bounds) -> float:
    """The sum that the history before reaches in nine of ten of its days, on either side."""
    if not old:
        return 0.0
    days = max(1, round(LOOKED / BLOCK))
    peaks: list[float] = []
    for start in range(0, len(old), days):
        piece = [(0.0, value / width) for value in old[start : start + days]]
        peaks.append(max(cusum(piece, 1.0, bounds)[0], cusum(piece, -1.0, bounds)[0]))
    peaks.sort()
    return peaks[int(0.9 * (len(peaks) - 1))]


def spread(values: Sequence[float]) -> float:
    """A robust standard deviation; that of the middle half where more than half of the values are the same."""
    if not values:
        return 0.0
    middle = median(values)
    found = _MAD * median(abs(value - middle) for value in values)
    if found > 0:
        return found
    return math.sqrt(sum((value - middle) ** 2 for value in values) / len(values))


def scaled(unit: Unit) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """A scale on which noise does not grow with the level, and the way back: logarithms for what multiplies, the arcsine for shares."""
    if unit in ("ms", "usd", "tokens", "count"):
        return (lambda value: math.log(max(value, 0.0) + 1e-6)), (lambda value: math.exp(min(value, 700.0)))
    if unit == "share":
        return (
            lambda value: math.asin(math.sqrt(min(1.0, max(0.0, value)))),
            lambda value: math.sin(min(math.pi / 2, max(0.0, value))) ** 2,
        )
    return (lambda value: value), (lambda value: value)


def _second(ordered: Sequence[float]) -> float:
    """Of the last three values, the second furthest from zero on the side where two of them are."""
    if len(ordered) < 2:
        return 0.0
    high, low = ordered[-2], ordered[1]
    return high if abs(high) >= abs(low) else low


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "nothing"
    if unit == "ms":
        return f"{value / 1000:.3g} s" if abs(value) >= 1000 else f"{value:.3g} ms"
    return f"{value * 100:.3g} %" if unit == "share" else f"{value:.4g}"
