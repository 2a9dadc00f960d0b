"""Spikes and shifts of level against what is usual at this hour: no threshold to choose.

Each reading becomes a deviation from what is usual at its hour of the day (of the week, given three weeks), in units of how much readings
of that hour vary: of shares by the binomial law of the calls behind them, of anything else by a robust deviation on a scale that suits its
unit, each cut at four so that no single reading decides. These are added up over a short window (a *spike*) and a long one (a *shift*), and
the sums are measured against the same sums of the days before: a series that wanders by itself raises its own bar.

Chosen by benchmarks/alerts.py, beside ADWIN, Page and Hinkley's test and rolling z-scores on the same series.
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
"""What is looked at, and so is not part of what is usual."""
SPIKE, SHIFT = 2400.0, 3 * 3600.0
"""Lengths of the short and the long window."""
LEAST_HISTORY = DAY
LEAST_PAST = 12
"""Readings before the recent ones that there must be, beside the day."""
CUT = 4.0
PRIOR = 200.0
"""Calls of the whole series that stand behind the share of each hour, so that an hour with few calls is not taken at its word."""
_MAD = 1.4826
_NINTH = 1.2816 / 0.8
"""The ninth decile in deviations, a little below a normal law's: tails are heavy."""


class Bounds(msgspec.Struct, frozen=True):
    """From how many deviations of a window's sum on there is a spike, or a shift."""

    spike: float
    shift: float


SENSITIVITIES = {"low": Bounds(5.0, 5.0), "normal": Bounds(3.0, 3.5), "high": Bounds(2.5, 2.5)}


class Point(msgspec.Struct, frozen=True):
    """A reading on the detector's scale: a share as it is, with the calls behind it."""

    at: float
    value: float
    count: int = 1


class Found(msgspec.Struct, frozen=True):
    """What stands out at the end of a series: deviations of the short and the long window's sum (below zero: less than usual), what is
    usual at this hour, and by how much a reading of this hour varies."""

    spike: float
    shift: float
    usual: float
    deviation: float


def span(terms: Detector, now: float) -> tuple[float, float]:
    """From when to when readings are needed."""
    step = terms.step_seconds
    begun = math.floor(now / step) * step
    return begun - math.ceil(terms.history_days * DAY / step) * step, begun


def judge(terms: Detector, measure: Measure, readings: Sequence[Reading], now: float) -> Verdict:
    """What the readings of one group say; ``unclear`` before there is a day of history, and where the last readings are missing."""
    step, bounds = terms.step_seconds, SENSITIVITIES[terms.sensitivity]
    scale, back = scaled(measure.unit)
    known = [
        Point(one.at, scale(one.value), one.count) for one in readings if one.value is not None and one.count >= max(1, terms.at_least)
    ]
    last = readings[-1] if readings else None
    past = sum(1 for one in known if one.at < known[-1].at + step - RECENT)
    few = past < max(LEAST_PAST, 3 * round(SHIFT / step))  # fewer sums than that say nothing of how they vary
    if few or last is None or known[-1].at < now - 4 * step or known[-1].at - known[0].at < LEAST_HISTORY:
        return Verdict(state="unclear", value=last.value if last is not None else None, told="too little to compare with")
    found = look(known, step, share=measure.unit == "share")
    both = terms.direction == "both" or measure.worse is None
    sign = -1.0 if measure.worse == "down" else 1.0
    spike, shift = (abs(found.spike), abs(found.shift)) if both else (found.spike * sign, found.shift * sign)
    is_spike = terms.kind != "shift" and spike >= bounds.spike
    is_shift = terms.kind != "spike" and shift >= bounds.shift
    upward = (found.shift if is_shift else found.spike) > 0
    beyond = found.usual + found.deviation * bounds.spike * (1 if upward else -1)
    limit = min(1.0, max(0.0, beyond)) if measure.unit == "share" else back(beyond)
    value, usual = last.value, back(found.usual)
    if not is_spike and not is_shift:
        calm = spike < bounds.spike / 2 and shift < bounds.shift / 2
        return Verdict(state="good" if calm else "unclear", value=value, limit=limit, count=last.count)
    what, back_to = ("a shift of level", SHIFT) if is_shift else ("a spike", SPIKE)
    told = f"{what} of {measure.title.lower()}: {_amount(value, measure.unit)} where {_amount(usual, measure.unit)} is usual at this hour"
    return Verdict(state="bad", value=value, limit=limit, count=last.count, since=last.at + step - back_to, told=told)


def look(known: Sequence[Point], step: float, *, share: bool = False) -> Found:
    """What stands out at the end of a series that is at least a day long."""
    end = known[-1].at + step
    past = sum(1 for one in known if one.at < end - RECENT)
    parts, usual, deviation = (_binomial if share else _robust)(known, past, end)
    spike = _scan(parts, past, max(2, round(SPIKE / step)), floor=1.0 if share else 1e-6)
    shift = _scan(parts, past, max(3, round(SHIFT / step)), floor=1.0 if share else 1e-6)
    return Found(spike, shift, usual, deviation)


Part = tuple[float, float]
"""By how much a reading deviates, and the variance of that."""


def _binomial(known: Sequence[Point], past: int, end: float) -> tuple[list[Part], float, float]:
    """Of shares: how many calls more than usual there are, and the variance of their number."""
    bins, place = _hours(known, end)
    hits, calls = [0.0] * bins, [0.0] * bins
    for one in known[:past]:
        hour = place(one.at)
        hits[hour] += one.value * one.count
        calls[hour] += one.count
    rate = (sum(hits) + 0.5) / (sum(calls) + 1)
    shares: list[float] = []
    for hour in range(bins):
        near = (hour - 1, hour, (hour + 1) % bins)
        shares.append((sum(hits[n] for n in near) + PRIOR * rate) / (sum(calls[n] for n in near) + PRIOR))
    parts: list[Part] = []
    for one in known:
        usual = shares[place(one.at)]
        parts.append(((one.value - usual) * one.count, one.count * usual * (1 - usual)))
    last = known[-1]
    usual = shares[place(last.at)]
    return parts, usual, math.sqrt(usual * (1 - usual) / max(1, last.count))


def _robust(known: Sequence[Point], past: int, end: float) -> tuple[list[Part], float, float]:
    """Of anything else: deviations from the median of the hour, lines between the hours, in robust deviations of the hours around it."""
    bins, place = _hours(known, end)
    by: list[list[float]] = [[] for _ in range(bins)]
    for one in known[:past]:
        by[place(one.at)].append(one.value)
    whole = median(one.value for one in known[:past])
    levels = [median(values) if len(values) >= 3 else whole for values in by]

    def usual(at: float) -> float:
        spot = (at % (bins * 3600.0)) / 3600 - 0.5
        low = math.floor(spot)
        return levels[low % bins] * (1 - spot + low) + levels[(low + 1) % bins] * (spot - low)

    rests = [one.value - usual(one.at) for one in known]
    far: list[list[float]] = [[] for _ in range(bins)]
    for one, rest in zip(known[:past], rests[:past], strict=True):
        far[place(one.at)].append(abs(rest))
    overall = _MAD * median([abs(rest) for rest in rests[:past]]) or 1e-6
    spreads: list[float] = []
    for hour in range(bins):
        near = far[hour - 1] + far[hour] + far[(hour + 1) % bins]
        spreads.append(max(_MAD * median(near), overall / 10, 1e-6) if len(near) >= 6 else overall)
    parts = [(min(CUT, max(-CUT, rest / spreads[place(one.at)])), 1.0) for one, rest in zip(known, rests, strict=True)]
    last = known[-1].at
    return parts, usual(last), spreads[place(last)]


def _scan(parts: Sequence[Part], past: int, width: int, *, floor: float) -> float:
    """The sum of the last ``width`` deviations, measured against the sums of the days before."""
    sums: list[float] = []
    total = variance = 0.0
    for number, (part, weight) in enumerate(parts):
        total, variance = total + part, variance + weight
        if number >= width:
            total, variance = total - parts[number - width][0], variance - parts[number - width][1]
        if number >= width - 1:
            sums.append(total / math.sqrt(max(variance, 1e-9)))
    before = sorted(sums[: max(1, past - width + 1)])
    middle = median(before)
    ninth = before[int(0.9 * (len(before) - 1))]
    tenth = before[int(0.1 * (len(before) - 1))]
    mad = _MAD * median(sorted(abs(one - middle) for one in before))
    rest = sums[-1] - middle
    tail = (ninth - middle) if rest > 0 else (middle - tenth)
    return rest / max(mad, tail / _NINTH, floor)


def _hours(known: Sequence[Point], end: float) -> tuple[int, Callable[[float], int]]:
    """How many hours a season has, and in which one a moment is."""
    bins = 168 if end - known[0].at >= 3 * WEEK - DAY else 24
    period = bins * 3600.0
    return bins, lambda at: int(at % period // 3600)


def scaled(unit: Unit) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """A scale on which noise does not grow with the level, and the way back: logarithms for what multiplies."""
    if unit in ("ms", "usd", "tokens", "count"):
        return (lambda value: math.log(max(value, 0.0) + 1e-6)), (lambda value: math.exp(min(value, 700.0)))
    return (lambda value: value), (lambda value: value)


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "nothing"
    if unit == "ms":
        return f"{value / 1000:.3g} s" if abs(value) >= 1000 else f"{value:.3g} ms"
    return f"{value * 100:.3g} %" if unit == "share" else f"{value:.4g}"
