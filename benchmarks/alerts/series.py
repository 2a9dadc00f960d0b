"""Series with known events: readings of ten minutes, made call by call from recorded requests (Azure's conversations: tokens in and out).

What is made up: the load of the hours and days, speed that follows the load and wanders, and the events. What makes it hard: a day's and a
week's season, loads that differ by ten between night and noon, quantiles of few calls at night, single outliers, slow growth.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STEP = 600.0
DAY = 86_400.0
HISTORY, LOOKED = 8, 14
"""Days that a detector sees before it may say anything, and days in which it is scored."""
START = 1_788_739_200.0
"""A Monday, 00:00 UTC."""


@dataclass(frozen=True)
class Event:
    """``begin`` and ``end`` in Unix seconds; ``found_by`` is until when an alarm counts as finding it."""

    kind: str
    begin: float
    end: float
    found_by: float
    size: float


@dataclass(frozen=True)
class Series:
    """Moments, values and counts behind them."""

    name: str
    unit: str
    at: Any
    value: Any
    count: Any
    events: tuple[Event, ...]


def recorded(data: Path) -> tuple[Any, Any]:
    """Tokens in and out of the recorded requests."""
    with (data / "traces" / "azure_conv.csv").open() as file:
        rows = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    found = np.array(rows, float)
    return found[:, 0], found[:, 1]


def planted(rng: Any, sizes: tuple[float, float], shifts: tuple[float, float]) -> tuple[Event, ...]:
    """Four events, in days of their own: two spikes of 20 to 60 minutes, two shifts of 12 hours to two days."""
    found: list[Event] = []
    days = rng.permutation(np.arange(HISTORY, HISTORY + LOOKED - 3, 3))[:4]
    for number, day in enumerate(days):
        begin = START + day * DAY + rng.uniform(0, DAY)
        begin -= begin % STEP
        if number % 2 == 0:
            length = rng.uniform(1200, 3600)
            found.append(Event("spike", begin, begin + length, begin + length + 1800, rng.uniform(*sizes)))
        else:
            length = rng.uniform(0.5 * DAY, 2 * DAY)
            found.append(Event("shift", begin, begin + length, begin + 0.5 * DAY, rng.uniform(*shifts)))
    return tuple(sorted(found, key=lambda one: one.begin))


def factors(events: tuple[Event, ...], at: Any) -> Any:
    """By how much the events multiply at each moment."""
    found = np.ones(len(at))
    for event in events:
        found[(at >= event.begin) & (at < event.end)] = event.size
    return found


def made(kind: str, seed: int, tokens: tuple[Any, Any]) -> Series:
    """One series of a kind: ``latency`` (95th percentile, ms), ``errors`` (share), ``spend`` (USD a step) or ``refusals`` (share)."""
    rng = np.random.default_rng([seed, sum(map(ord, kind))])
    count = int((HISTORY + LOOKED) * DAY / STEP)
    at = START + np.arange(count) * STEP
    hour, day = at % DAY / 3600, (at // DAY).astype(int)
    weekend = ((day + 3) % 7) >= 5
    load = rng.uniform(15, 60) * (0.12 + np.exp(2.0 * (np.cos((hour - rng.uniform(11, 15)) / 24 * 2 * math.pi) - 1)))
    load *= np.where(weekend, rng.uniform(0.4, 0.9), 1.0) * (1 + rng.uniform(0, 0.01) * (at - START) / DAY)
    sizes = {"latency": (1.6, 3.0), "errors": (4, 10), "spend": (2.0, 4.0), "refusals": (4, 10)}[kind]
    shifts = {"latency": (1.2, 1.6), "errors": (1.8, 3.5), "spend": (1.4, 2.2), "refusals": (1.8, 3.5)}[kind]
    events = planted(rng, sizes, shifts)
    times = factors(events, at)
    wander = _wander(rng, count, 0.985, 0.06)
    calls = rng.poisson(load * (times if kind == "spend" else 1.0) * np.exp(_wander(rng, count, 0.9, 0.1))) + 1
    context, out = tokens
    value = np.empty(count)
    base = rng.uniform(0.005, 0.03)
    for step in range(count):
        picked = rng.integers(0, len(out), calls[step])
        if kind == "latency":
            speed = (12 + 10 * load[step] / load.max()) * math.exp(wander[step]) * times[step]
            spans = (180 + context[picked] * 0.05 + out[picked] * speed) * np.exp(rng.normal(0, 0.15, len(picked)))
            value[step] = np.quantile(spans, 0.95) * (rng.uniform(3, 6) if rng.random() < 0.002 else 1.0)
        elif kind == "spend":
            value[step] = float(context[picked].sum() * 2.5e-6 + out[picked].sum() * 1e-5)
        else:
            share = min(0.9, base * math.exp(2 * wander[step]) * times[step])
            value[step] = rng.binomial(calls[step], share) / calls[step]
    unit = {"latency": "ms", "spend": "usd"}.get(kind, "share")
    return Series(f"{kind}-{seed}", unit, at, value, calls, events)


def _wander(rng: Any, count: int, keeps: float, spread: float) -> Any:
    """Noise that remembers (an AR(1)), of this standard deviation."""
    noise, found = rng.normal(0, spread * math.sqrt(1 - keeps * keeps), count), np.empty(count)
    found[0] = 0.0
    for step in range(1, count):
        found[step] = keeps * found[step - 1] + noise[step]
    return found
