from __future__ import annotations

import math
import random

import pytest
from tests.alerts.series import ERRORS, GROUNDED, LATENCY, NOW, steps

from penstock.alerts.detect import Point, judge, look, scaled, span
from penstock.alerts.model import Detector
from penstock.kernel.measures import Reading

STEP = 300.0
DAY = 86_400.0


def usual(days: float = 7.0, *, seed: int = 7) -> list[float]:
    """Latencies with a day's season and noise that multiplies, ending at `NOW`."""
    rng = random.Random(seed)
    count = int(days * DAY / STEP)
    first = NOW - count * STEP
    return [1000 * (1 + 0.5 * math.sin((first + n * STEP) % DAY / DAY * 2 * math.pi)) * math.exp(rng.gauss(0, 0.1)) for n in range(count)]


USUAL = Detector()


def verdict(values: list[float], rule: Detector = USUAL) -> str:
    return judge(rule, LATENCY, steps(values, step=STEP), NOW + 10).state


def test_the_season_is_no_news() -> None:
    for seed in range(5):
        assert verdict(usual(seed=seed)) != "bad"


def test_a_spike_and_not_a_single_reading() -> None:
    values = usual()
    assert verdict([*values[:-1], values[-1] * 20]) != "bad"
    spiked = [*values[:-4], *(value * 4 for value in values[-4:])]
    assert verdict(spiked) == "bad"
    assert verdict(spiked, Detector(kind="shift")) != "bad"
    found = judge(Detector(), LATENCY, steps(spiked, step=STEP), NOW + 10)
    assert found.told.startswith("a spike of latency")
    assert found.value == spiked[-1]
    assert found.limit is not None
    assert found.limit < spiked[-1]


def test_a_shift_that_no_reading_shows() -> None:
    values = usual()
    shifted = [*values[:-48], *(value * 1.2 for value in values[-48:])]  # four hours
    found = judge(Detector(kind="shift"), LATENCY, steps(shifted, step=STEP), NOW + 10)
    assert found.state == "bad"
    assert "a shift of level" in found.told
    assert NOW - 6 * 3600 <= found.since <= NOW - 2 * 3600


def test_better_is_no_alert_unless_asked_for() -> None:
    values = usual()
    better = [*values[:-48], *(value * 0.5 for value in values[-48:])]
    assert verdict(better) != "bad"
    assert verdict(better, Detector(direction="both")) == "bad"
    falls = [Reading(at=one.at, value=min(1.0, (one.value or 0) / 2000), count=10) for one in steps(better, step=STEP)]
    assert judge(Detector(), GROUNDED, falls, NOW + 10).state == "bad"


def test_without_a_day_of_history_or_late_readings_it_says_nothing() -> None:
    assert verdict(usual(0.5)) == "unclear"
    assert judge(Detector(), LATENCY, [], NOW).state == "unclear"
    old = steps(usual(3), step=STEP, until=NOW - 7200)
    assert judge(Detector(), LATENCY, old, NOW).state == "unclear"


def test_readings_with_too_little_behind_them_do_not_count() -> None:
    values = usual()
    spiked = steps([*values[:-4], *[9000.0] * 4], step=STEP, count=3)
    assert judge(Detector(at_least=1), LATENCY, spiked, NOW + 10).state == "bad"
    assert judge(Detector(at_least=5), LATENCY, spiked, NOW + 10).state == "unclear"


def test_gaps_and_constants_do_not_trouble_it() -> None:
    values: list[float | None] = [value if n % 3 else None for n, value in enumerate(usual())]
    assert judge(Detector(), LATENCY, steps(values, step=STEP), NOW + 10).state in ("good", "unclear")
    assert verdict([5.0] * 2016) == "good"


def test_a_share_is_as_sure_as_the_calls_behind_it() -> None:
    def errors(count: int) -> str:
        rng = random.Random(3)
        readings = [
            Reading(at=NOW - (2016 - n) * STEP, value=sum(rng.random() < 0.02 for _ in range(count)) / count, count=count)
            for n in range(2008)
        ]
        late = [Reading(at=NOW - (8 - n) * STEP, value=0.1, count=count) for n in range(8)]
        return judge(Detector(), ERRORS, [*readings, *late], NOW + 10).state

    assert errors(60) == "bad"
    assert errors(2) != "bad"


def test_parts() -> None:
    assert span(Detector(), NOW + 100) == (NOW - 7 * DAY, NOW)
    to, back = scaled("share")
    assert back(to(0.37)) == 0.37
    to, back = scaled("ms")
    assert back(to(370.0)) == pytest.approx(370.0)
    assert look([Point(n * STEP, 1.0) for n in range(500)], STEP).spike == 0
    # Four weeks: what is usual is that of the hour of the week.
    weekly = [Point(n * 3600.0, float(n // 24 % 7)) for n in range(24 * 28)]
    assert look(weekly, 3600.0).usual == pytest.approx(6.0)


@pytest.mark.parametrize("count", [2, 5, 30, 60])
def test_a_quiet_group_has_no_usual_yet(count: int) -> None:
    """A few readings over days are fewer than one window holds."""
    first = NOW - 6 * DAY
    sparse = [Reading(at=first + n * (6 * DAY - STEP) / (count - 1) // STEP * STEP, value=1000.0 + n, count=1) for n in range(count)]
    assert judge(USUAL, LATENCY, sparse, NOW + 10).state == "unclear"
    assert judge(USUAL, ERRORS, [Reading(at=one.at, value=0.1, count=9) for one in sparse], NOW + 10).state == "unclear"
