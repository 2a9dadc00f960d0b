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


SENSITIVITIES = {"low": Bounds(5.0, 5.0), "normal": Bounds(3.5, 3.0), "high": Bounds(2.5, 2.5)}


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


def look(known: Sequence[Point], step: float, *, share: bool = False, usual: Usual | None = None) -> Found:
    """What stands out at the end of a series that is at least a day long, against what is ``usual``, which the series itself tells where it
    is not given."""
    usual = usual or Usual(known, step, share=share)
    sums = [usual.sums(known[-width:], width)[-1] for width in usual.widths]
    last = known[-1]
    return Found(usual.beyond(sums[0], 0), usual.beyond(sums[1], 1), usual.level(last.at), usual.spread(last))


class Usual:
    """What is usual at each hour, and how large the sums of windows are on the days before; without the last hours of the series."""

    def __init__(self, known: Sequence[Point], step: float, *, share: bool) -> None:
        end = known[-1].at + step
        self._share = share
        self._bins = 168 if end - known[0].at >= 3 * WEEK - DAY else 24
        past = [one for one in known if one.at < end - RECENT]
        self._spreads: list[float] = []
        self._levels = self._shares(past) if share else self._medians(past)
        self.widths = (max(2, round(SPIKE / step)), max(3, round(SHIFT / step)))
        self._bars = [self._bar(self.sums(past, width)) for width in self.widths]

    def level(self, at: float) -> float:
        """What is usual at a moment: of shares that of the hour, of anything else on the line between two hours."""
        if self._share:
            return self._levels[self._place(at)]
        spot = (at % (self._bins * 3600.0)) / 3600 - 0.5
        low = math.floor(spot)
        return self._levels[low % self._bins] * (1 - spot + low) + self._levels[(low + 1) % self._bins] * (spot - low)

    def spread(self, one: Point) -> float:
        """By how much a reading of this hour, with so many calls behind it, varies."""
        if self._share:
            usual = self.level(one.at)
            return math.sqrt(usual * (1 - usual) / max(1, one.count))
        return self._spreads[self._place(one.at)]

    def sums(self, points: Sequence[Point], width: int) -> list[float]:
        """The sums of deviations of each ``width`` readings in a row, in deviations of such a sum."""
        parts = [self._part(one) for one in points]
        width = min(width, len(parts))
        total, variance = sum(part for part, _ in parts[:width]), sum(weight for _, weight in parts[:width])
        found = [total / math.sqrt(max(variance, 1e-9))]
        for (part, weight), (old, lighter) in zip(parts[width:], parts, strict=False):
            total, variance = total + part - old, variance + weight - lighter
            found.append(total / math.sqrt(max(variance, 1e-9)))
        return found

    def beyond(self, total: float, window: int) -> float:
        """A sum of the short (0) or long (1) window, measured against those of the days before."""
        middle, up, down = self._bars[window]
        return (total - middle) / (up if total > middle else down)

    def _part(self, one: Point) -> tuple[float, float]:
        usual = self.level(one.at)
        if self._share:
            return (one.value - usual) * one.count, one.count * usual * (1 - usual)
        return min(CUT, max(-CUT, (one.value - usual) / self._spreads[self._place(one.at)])), 1.0

    def _bar(self, sums: list[float]) -> tuple[float, float, float]:
        ordered = sorted(sums)
        middle = median(ordered)
        ninth, tenth = ordered[int(0.9 * (len(ordered) - 1))], ordered[int(0.1 * (len(ordered) - 1))]
        least = max(_MAD * median([abs(one - middle) for one in ordered]), 1.0 if self._share else 1e-6)
        return middle, max(least, (ninth - middle) / _NINTH), max(least, (middle - tenth) / _NINTH)

    def _shares(self, past: Sequence[Point]) -> list[float]:
        hits, calls = [0.0] * self._bins, [0.0] * self._bins
        for one in past:
            hour = self._place(one.at)
            hits[hour] += one.value * one.count
            calls[hour] += one.count
        rate = (sum(hits) + 0.5) / (sum(calls) + 1)
        found: list[float] = []
        for hour in range(self._bins):
            near = (hour - 1, hour, (hour + 1) % self._bins)
            found.append((sum(hits[n] for n in near) + PRIOR * rate) / (sum(calls[n] for n in near) + PRIOR))
        return found

    def _medians(self, past: Sequence[Point]) -> list[float]:
        by: list[list[float]] = [[] for _ in range(self._bins)]
        for one in past:
            by[self._place(one.at)].append(one.value)
        whole = median(one.value for one in past)
        self._levels = [median(values) if len(values) >= 3 else whole for values in by]
        far: list[list[float]] = [[] for _ in range(self._bins)]
        for one in past:
            far[self._place(one.at)].append(abs(one.value - self.level(one.at)))
        overall = _MAD * median([rest for rests in far for rest in rests]) or 1e-6
        for hour in range(self._bins):
            near = far[hour - 1] + far[hour] + far[(hour + 1) % self._bins]
            self._spreads.append(max(_MAD * median(near), overall / 10, 1e-6) if len(near) >= 6 else overall)
        return self._levels

    def _place(self, at: float) -> int:
        return int(at % (self._bins * 3600.0) // 3600)


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
