"""How fast an error budget is spent: several pairs of windows at several rates (Site Reliability Workbook, chapter 5).

The long window of a pair proves that a real part of the budget is gone, the short one that it is still going. A pair fires when both
spend at its rate or faster, and the alert ends when no pair's short window does any more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from penstock.alerts.model import SEVERITIES, Burn, Objective, Verdict
from penstock.kernel.measures import Reading, Unit

MOST_STEPS = 2000
"""Readings that one question may ask of a source."""
EASED = 0.9
"""Share of its rate below which a short window must be before the pair is quiet again."""


def span(terms: Objective, now: float) -> tuple[float, float]:
    """From when to when readings of `terms.step_seconds` are needed."""
    step = terms.step_seconds
    begun = math.floor(now / step) * step
    return begun - math.ceil(max(pair.long_seconds for pair in terms.burns) / step) * step, begun


def budget_span(terms: Objective, now: float) -> tuple[float, float, float]:
    """From when to when, and in which steps, readings are needed for what is left of the budget."""
    step = max(3600.0, math.ceil(terms.period_days * 86_400 / MOST_STEPS / 3600) * 3600.0)
    until = math.ceil(now / step) * step
    return until - math.ceil(terms.period_days * 86_400 / step) * step, until, step


def judge(terms: Objective, unit: Unit, readings: Sequence[Reading], now: float, *, falls: bool = False) -> Verdict:
    """What the readings say; ``falls`` says that low values of the measure are the bad ones. The verdict's value is the rate at which the
    most urgent pair that fires spends the budget over its long window, its limit the pair's rate."""
    budget = 1 - terms.target
    begun = math.floor(now / terms.step_seconds) * terms.step_seconds
    fired: list[tuple[Burn, float, float, int]] = []
    shown: tuple[Burn, float, float, int] | None = None
    eased = True
    for pair in terms.burns:
        long, count, steps = bad_share(terms, unit, readings, begun - pair.long_seconds, begun, falls=falls)
        short, _, _ = bad_share(terms, unit, readings, begun - pair.short_seconds, begun, falls=falls)
        if long is None or not steps:
            continue
        over, now_at = long / budget, (short or 0.0) / budget
        found = (pair, over, now_at, count)
        if shown is None or over / pair.rate > shown[1] / shown[0].rate:
            shown = found
        if count >= terms.at_least and over >= pair.rate and now_at >= pair.rate:
            fired.append(found)
        if now_at >= pair.rate * EASED and over >= pair.rate * EASED:
            eased = False
    if shown is None:
        return Verdict(state="unclear", told="no readings")
    if not fired:
        pair, over, _, count = shown
        return Verdict(state="good" if eased else "unclear", value=over, limit=pair.rate, count=count)
    pair, over, now_at, count = max(fired, key=lambda one: (SEVERITIES.index(one[0].severity), one[1] / one[0].rate))
    hours = terms.period_days * 24 / over
    told = (
        f"the error budget of {terms.period_days} days is spent {over:.3g} times as fast as it would last over {_length(pair.long_seconds)}"
        f" and {now_at:.3g} times over {_length(pair.short_seconds)}; at this rate it lasts {_length(hours * 3600)}"
    )
    return Verdict(
        state="bad", value=over, limit=pair.rate, count=count, since=begun - pair.short_seconds, told=told, severity=pair.severity
    )


def budget_left(terms: Objective, unit: Unit, readings: Sequence[Reading], *, falls: bool = False) -> float | None:
    """The share of the error budget that ``readings`` of the whole period leave; below 0 where more was spent than there was."""
    if not readings:
        return None
    spent, _, steps = bad_share(terms, unit, readings, readings[0].at, math.inf, falls=falls)
    return None if spent is None or not steps else 1 - spent / (1 - terms.target)


def bad_share(
    terms: Objective, unit: Unit, readings: Sequence[Reading], since: float, until: float, *, falls: bool = False
) -> tuple[float | None, int, int]:
    """The bad part of what is counted between two moments, how many calls and how many steps are behind it; None without any."""
    window = [one for one in readings if since <= one.at < until and one.value is not None]
    count = sum(one.count for one in window)
    if terms.limit is not None:
        bad = sum(1 for one in window if one.value is not None and ((one.value < terms.limit) if falls else (one.value > terms.limit)))
        return (bad / len(window) if window else None), count, len(window)
    if unit not in ("share", "score") or not count:
        return None, count, 0
    total = sum((1 - (one.value or 0.0) if falls else (one.value or 0.0)) * one.count for one in window)
    return total / count, count, len(window)


def _length(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.3g} days"
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 60:.3g} min"
