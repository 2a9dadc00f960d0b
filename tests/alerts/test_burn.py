from __future__ import annotations

import math

import pytest
from tests.alerts.series import NOW, steps

from penstock.alerts.burn import bad_share, budget_left, budget_span, judge, span
from penstock.alerts.model import Burn, Objective
from penstock.kernel.measures import Reading

OBJECTIVE = Objective(target=0.999)
STEP = 300.0


def series(rate: float, hours: float, *, before: float = 0.0, count: int = 100) -> list[Reading]:
    """Three days of ``before`` that end with ``hours`` of ``rate``."""
    late = round(hours * 3600 / STEP)
    return steps([before] * (864 - late) + [rate] * late, step=STEP, count=count)


@pytest.mark.parametrize(
    ("rate", "hours", "state", "severity"),
    [
        (0.0144 * 1.01, 1.0, "bad", "page"),  # 2 % of the budget in an hour
        (0.0144 * 0.9, 1.0, "good", None),
        (0.0144 * 1.01, 0.5, "good", None),  # an hour of it is needed
        (0.006 * 1.01, 6.0, "bad", "page"),
        (0.001 * 1.01, 72.0, "bad", "ticket"),
        (0.0, 72.0, "good", None),
        (1.0, 0.1, "bad", "page"),  # a whole outage is told within minutes
    ],
)
def test_each_pair_fires_at_its_rate(rate: float, hours: float, state: str, severity: str | None) -> None:
    verdict = judge(OBJECTIVE, "share", series(rate, hours), NOW)
    assert (verdict.state, verdict.severity) == (state, severity)


def test_it_ends_when_the_short_window_is_over() -> None:
    outage = steps([0.0] * 850 + [1.0] * 6 + [0.0] * 8, step=STEP, count=100)
    assert judge(OBJECTIVE, "share", outage, NOW - 8 * STEP).state == "bad"
    later = judge(Objective(target=0.999, burns=OBJECTIVE.burns[:1]), "share", outage, NOW)
    assert later.state == "good"


def test_the_verdict_tells_how_long_the_budget_lasts() -> None:
    verdict = judge(OBJECTIVE, "share", series(0.0288, 1.0), NOW)
    assert verdict.value == pytest.approx(28.8)
    assert "25 h" in verdict.told
    assert verdict.limit == 14.4


def test_too_few_calls_prove_nothing() -> None:
    assert judge(OBJECTIVE, "share", series(1.0, 1.0, count=1)[-12:], NOW).state != "bad"


def test_minutes_beyond_a_limit_are_counted_where_nothing_else_is() -> None:
    slow = Objective(target=0.99, limit=2000, burns=(Burn(rate=10, long_seconds=3600, short_seconds=600),))
    readings = steps([500.0] * 9 + [2500.0] * 3, step=STEP, count=50)
    assert bad_share(slow, "ms", readings, NOW - 3600, math.inf) == (0.25, 600, 12)
    assert judge(slow, "ms", readings, NOW).state == "bad"
    assert judge(slow, "ms", steps([500.0] * 12, step=STEP), NOW).state == "good"


def test_what_falls_is_bad_the_other_way_round() -> None:
    grounded = steps([0.9] * 12, step=STEP, count=10)
    share, count, _ = bad_share(OBJECTIVE, "share", grounded, 0, math.inf, falls=True)
    assert (share, count) == (pytest.approx(0.1), 120)


def test_what_is_left_of_the_budget() -> None:
    since, until, step = budget_span(OBJECTIVE, NOW + 10)
    assert (until - since) / step <= 2000
    assert until - since >= 30 * 86_400
    assert budget_left(OBJECTIVE, "share", steps([0.0] * 9 + [0.005], step=3600)) == pytest.approx(0.5)
    assert budget_left(OBJECTIVE, "share", steps([0.01], step=3600)) == pytest.approx(-9)
    assert budget_left(OBJECTIVE, "share", []) is None


def test_the_longest_window_is_asked_for() -> None:
    assert span(OBJECTIVE, NOW + 299) == (NOW - 3 * 86_400, NOW)
    assert judge(OBJECTIVE, "share", [], NOW).state == "unclear"
