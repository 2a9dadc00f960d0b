"""Two windows of a watched task side by side: how a feature was distributed before, and how it is now."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from penstock.quality.drift.watched import Watched, Watching

PARTS = 12
RECENT = 400
"""Calls of the recent window where nothing has changed."""


class Part(Struct, frozen=True):
    """A stretch of values, or a category: its share of the reference's calls, and of the recent ones."""

    label: str
    before: float
    now: float


class Windows(Struct, frozen=True, kw_only=True):
    """A feature's two distributions. ``before`` and ``now`` count the calls behind them; ``unit`` is of the labels."""

    feature: str
    unit: str
    before: int
    now: int
    parts: list[Part]


def bounds(watched: Watched) -> tuple[int, int]:
    """Where the reference ends and where the recent window begins, among the calls since the baseline: at the first change, where there is
    one."""
    start = max(watched.wanted, len(watched.seen) - RECENT)
    if changes := watched.changes:
        first = min(change.changed_at for change in changes)
        start = max(watched.wanted, next((at for at, seen in enumerate(watched.seen) if seen.at >= first), start))
    return min(watched.wanted, len(watched.seen)), start


def windows(watched: Watched, watching: Watching) -> Windows:
    """The distributions of one feature."""
    end, start = bounds(watched)
    before = [value for value in watching.scores[:end] if not math.isnan(value)]
    now = [value for value in watching.scores[start:] if not math.isnan(value)]
    rule = watching.rule
    parts = _of_kinds(rule.kinds, before, now) if rule.kinds else _of_numbers(before, now)
    return Windows(feature=rule.feature.name, unit=rule.feature.unit, before=len(before), now=len(now), parts=parts)


def _of_kinds(kinds: Sequence[str], before: Sequence[float], now: Sequence[float]) -> list[Part]:
    found = [Part(name, _share(before, at), _share(now, at)) for at, name in enumerate(kinds)]
    return [part for part in found if part.before or part.now]


def _share(values: Sequence[float], kind: int) -> float:
    return sum(value == kind for value in values) / len(values) if values else 0.0


def _of_numbers(before: Sequence[float], now: Sequence[float]) -> list[Part]:
    """Stretches of equal width between the 1st and 99th percentile of both; those at the ends take what lies beyond."""
    every = sorted((*before, *now))
    if not every:
        return []
    low, high = every[len(every) // 100], every[min(len(every) - 1, len(every) * 99 // 100)]
    width = (high - low) / PARTS
    if width <= 0:
        return [Part(figure(low), float(bool(before)), float(bool(now)))]

    def shares(values: Sequence[float]) -> list[float]:
        counts = [0] * PARTS
        for value in values:
            counts[min(PARTS - 1, max(0, int((value - low) / width)))] += 1
        return [count / len(values) if values else 0.0 for count in counts]

    return [
        Part(f"{figure(low + at * width)} to {figure(low + (at + 1) * width)}", was, is_)
        for at, (was, is_) in enumerate(zip(shares(before), shares(now), strict=True))
    ]


def figure(value: float) -> str:
    """A number with as many places as it wants."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


__all__ = ["RECENT", "Part", "Windows", "bounds", "figure", "windows"]
