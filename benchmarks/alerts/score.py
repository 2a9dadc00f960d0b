"""What alarms are worth: events found, how late, and alarms that were none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.alerts.series import DAY, HISTORY, START, STEP, Series
from penstock.statistics.bounds import wilson


@dataclass
class Score:
    """Counts over several series. ``weeks`` is time without events; delays are minutes."""

    found: dict[str, int] = field(default_factory=dict)
    there: dict[str, int] = field(default_factory=dict)
    delays: dict[str, list[float]] = field(default_factory=dict)
    false: int = 0
    true: int = 0
    weeks: float = 0.0

    def add(self, series: Series, on: Any) -> None:
        """Count one series. An alarm is where it goes on; one that begins in the window of an event belongs to it."""
        first = int(HISTORY * DAY / STEP)
        rises = np.flatnonzero(on & ~np.concatenate([[False], on[:-1]]))
        moments = [START + (first + step + 1) * STEP for step in rises]
        taken: set[float] = set()
        spent = 0.0
        for event in series.events:
            # Until a while after its end, an alarm is no false one: the way back is a change too.
            late = max(event.found_by, event.end + 3 * 3600)
            spent += late - event.begin
            inside = [at for at in moments if event.begin < at <= late]
            taken.update(inside)
            self.there[event.kind] = self.there.get(event.kind, 0) + 1
            hits = [at for at in inside if at <= event.found_by]
            if hits:
                self.found[event.kind] = self.found.get(event.kind, 0) + 1
                self.delays.setdefault(event.kind, []).append((hits[0] - event.begin) / 60)
                self.true += 1
        self.false += len([at for at in moments if at not in taken])
        self.weeks += (len(on) * STEP - spent) / (7 * DAY)

    @property
    def recall(self) -> float:
        return sum(self.found.values()) / max(1, sum(self.there.values()))

    @property
    def precision(self) -> float:
        return self.true / max(1, self.true + self.false)

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def told(self) -> dict[str, Any]:
        """Figures with intervals of 95 %: Wilson's of shares, Garwood's of the rate of false alarms."""
        low, high = rate_interval(self.false, self.weeks)
        events = sum(self.there.values())
        return {
            "events": events,
            "recall": self.recall,
            "recall_interval": wilson(sum(self.found.values()), events),
            "precision": self.precision,
            "precision_interval": wilson(self.true, self.true + self.false),
            "f1": self.f1,
            "false_a_week": self.false / self.weeks,
            "false_a_week_interval": (low, high),
            "recall_of": {kind: self.found.get(kind, 0) / self.there[kind] for kind in sorted(self.there)},
            "delay_minutes": {kind: float(np.median(found)) for kind, found in sorted(self.delays.items())},
        }


def rate_interval(count: int, time: float) -> tuple[float, float]:
    """Garwood's exact interval of a Poisson rate, by bisection on the tail."""
    return (_solve(count, 0.975, lower=True) if count else 0.0) / time, _solve(count, 0.025, lower=False) / time


def _solve(count: int, level: float, *, lower: bool) -> float:
    def below(mean: float, upto: int) -> float:
        return sum(math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(upto + 1)) if mean > 0 else 1.0

    low, high = 1e-9, 10.0 * (count + 10)
    for _ in range(200):
        middle = (low + high) / 2
        value = below(middle, count - 1) if lower else below(middle, count)
        low, high = (middle, high) if value > level else (low, middle)
    return low
