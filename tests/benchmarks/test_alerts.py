"""The scoring of detectors: what counts as found, as late and as false."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.alerts.contestants import LIMITS
from benchmarks.alerts.score import Score, rate_interval
from benchmarks.alerts.series import DAY, HISTORY, LOOKED, START, STEP, Event, Series

from penstock.alerts.detect import SENSITIVITIES

FIRST = START + HISTORY * DAY
COUNT = int(LOOKED * DAY / STEP)


def series(*events: Event) -> Series:
    at = START + np.arange(int((HISTORY + LOOKED) * DAY / STEP)) * STEP
    return Series("s", "ms", at, np.full(len(at), 100.0), np.full(len(at), 10), events)


def test_an_alarm_belongs_to_the_event_in_whose_window_it_begins() -> None:
    event = Event("spike", FIRST + 100 * STEP, FIRST + 106 * STEP, FIRST + 109 * STEP, 2.0)
    on = np.zeros(COUNT, bool)
    on[102:110] = True  # found, 30 minutes after it began
    on[112] = True  # on the way back: neither found nor false
    on[500] = on[900] = True
    score = Score()
    score.add(series(event), on)
    told = score.told()
    assert (score.true, score.false) == (1, 2)
    assert told["delay_minutes"] == {"spike": 30.0}
    assert told["false_a_week"] == pytest.approx(1.0, rel=0.05)


def test_garwoods_interval() -> None:
    low, high = rate_interval(10, 1.0)
    assert (low, high) == (pytest.approx(4.795, abs=0.01), pytest.approx(18.39, abs=0.01))
    assert rate_interval(0, 1.0) == (0.0, pytest.approx(3.689, abs=0.01))


def test_what_the_room_uses_is_among_what_is_scored() -> None:
    assert {limit for bounds in SENSITIVITIES.values() for limit in (bounds.spike, bounds.shift)} <= set(LIMITS)
