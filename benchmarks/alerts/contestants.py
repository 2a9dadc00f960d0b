"""Who is scored: each gives an alarm level by step for several settings of its own, of which one is chosen on the series to tune by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.alerts.series import DAY, HISTORY, STEP, Series
from penstock.alerts import detect

LIMITS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
"""Deviations from which on ours tells of a window; every pair of them is tried."""

Alarms = Any
"""Whether the alarm is on, by step."""


def ours(series: Series) -> Iterator[tuple[str, Alarms]]:
    """`penstock.alerts.detect` as it runs in a house: at each step it sees the seven days before, and nothing else is remembered."""
    to, _ = detect.scaled(series.unit)  # type: ignore[arg-type]
    rows = zip(series.at, series.value, series.count, strict=True)
    known = [detect.Point(float(at), to(float(value)), int(count)) for at, value, count in rows]
    first, width, share = int(HISTORY * DAY / STEP), int(7 * DAY / STEP), series.unit == "share"
    found: list[detect.Found] = []
    for step in range(first, len(known)):
        window = known[step + 1 - width : step + 1]
        if (step - first) % 6 == 0:  # once an hour, which is six times as fast; a house does it each time
            usual = detect.Usual(window, STEP, share=share)
        found.append(detect.look(window, STEP, share=share, usual=usual))
    for spike in LIMITS:
        for shift in LIMITS:
            yield f"spike {spike}, shift {shift}", _held([max(one.spike / spike, one.shift / shift) for one in found])


def z_score(series: Series, *, seasonal: bool) -> Iterator[tuple[str, Alarms]]:
    """A rolling z-score over the last day, on the series or on what is left of it without the same step of the days before."""
    values = _without_season(series) if seasonal else _plain(series)
    width, first = int(DAY / STEP), int(HISTORY * DAY / STEP)
    scores: list[float] = []
    for step in range(first, len(values)):
        window = values[step - width : step]
        scores.append(float((values[step] - window.mean()) / (window.std() + 1e-9)))
    for limit in (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0):
        for need in (1, 2):
            levels = [min(scores[max(0, n + 1 - need) : n + 1]) / limit for n in range(len(scores))]
            yield f"z {limit}, {need} in a row", _held(levels)


def adwin(series: Series, *, seasonal: bool) -> Iterator[tuple[str, Alarms]]:
    """ADWIN (river), an alarm at each change that it finds upwards."""
    from river.drift import ADWIN  # type: ignore[import-not-found]

    values = _without_season(series) if seasonal else _plain(series)
    first = int(HISTORY * DAY / STEP)
    for delta in (0.2, 0.05, 0.01, 0.002, 1e-4, 1e-6, 1e-9):
        detector, on = ADWIN(delta=delta, clock=1), np.zeros(len(values) - first, bool)
        for step, value in enumerate(values):
            before = detector.estimation
            detector.update(float(value))
            if detector.drift_detected and step >= first and detector.estimation > before:
                on[step - first] = True
        yield f"delta {delta:g}", on


def page_hinkley(series: Series) -> Iterator[tuple[str, Alarms]]:
    """Page and Hinkley's test (river) on what is left without the season."""
    from river.drift import PageHinkley  # type: ignore[import-not-found]

    values = _without_season(series)
    scale = float(np.median(np.abs(values)) * 1.4826) or 1.0
    first = int(HISTORY * DAY / STEP)
    for limit in (10, 20, 40, 80, 160):
        for slack in (0.25, 0.5, 1.0):
            detector, on = PageHinkley(threshold=limit, delta=slack, mode="up"), np.zeros(len(values) - first, bool)
            for step, value in enumerate(values):
                detector.update(float(value) / scale)
                if detector.drift_detected and step >= first:
                    on[step - first] = True
            yield f"threshold {limit}, delta {slack}", on


OURS = "Penstock's detector"
CONTESTANTS: dict[str, Callable[[Series], Iterator[tuple[str, Alarms]]]] = {
    OURS: ours,
    "z-score, rolling": lambda series: z_score(series, seasonal=False),
    "z-score without the season": lambda series: z_score(series, seasonal=True),
    "ADWIN": lambda series: adwin(series, seasonal=False),
    "ADWIN without the season": lambda series: adwin(series, seasonal=True),
    "Page-Hinkley without the season": page_hinkley,
}


def _held(levels: list[float]) -> Alarms:
    """On from where the level reaches 1 until it is below a half."""
    on, state = np.zeros(len(levels), bool), False
    for step, level in enumerate(levels):
        state = level >= 1 or (state and level >= 0.5)
        on[step] = state
    return on


def _plain(series: Series) -> Any:
    to, _ = detect.scaled(series.unit)  # type: ignore[arg-type]
    return np.array([to(float(value)) for value in series.value])


def _without_season(series: Series) -> Any:
    """Minus the median of the same half-hour of the seven days before: the peers get a season too."""
    values, day = _plain(series), int(DAY / STEP)
    found = np.zeros(len(values))
    for step in range(len(values)):
        near = [values[max(0, step - n * day - 1) : step - n * day + 2] for n in range(1, 8) if step - n * day >= 0]
        found[step] = values[step] - np.median(np.concatenate(near)) if near else 0.0
    return found
