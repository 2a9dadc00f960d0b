from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.series import NOW, steps

from penstock.alerts.model import Threshold
from penstock.alerts.threshold import clear_at, judge, span
from penstock.kernel.measures import Reading

ABOVE = Threshold(above=2000, step_seconds=60, for_seconds=300)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([2100] * 5, "bad"),
        ([2100] * 4 + [1999], "unclear"),
        ([1000] * 5, "good"),
        ([1900] * 5, "unclear"),  # under the threshold, and not clear of it
        ([2100, None, 2100, None, 2100], "bad"),
        ([None, None, None, 2100, 2100], "unclear"),  # too few steps to say
        ([], "unclear"),
    ],
)
def test_every_reading_of_the_window_must_be_beyond(values: list[float | None], state: str) -> None:
    assert judge(ABOVE, "ms", steps(values), NOW + 20).state == state


def test_the_verdict_says_since_when_and_how_much() -> None:
    verdict = judge(ABOVE, "ms", steps([2100, 2200, 2300, 2400, 2500]), NOW + 20)
    assert (verdict.value, verdict.limit, verdict.count, verdict.since) == (2500, 2000, 50, NOW - 300)


def test_a_step_that_has_not_ended_says_nothing() -> None:
    assert judge(ABOVE, "ms", [*steps([1000] * 5), Reading(at=NOW, value=9000, count=3)], NOW + 20).state == "good"


def test_a_sum_that_is_over_before_its_step_ends_is_over() -> None:
    spend = Threshold(above=50, step_seconds=3600, for_seconds=3600)
    running = Reading(at=NOW, value=51.0, count=4)
    assert judge(spend, "usd", [*steps([3.0], step=3600), running], NOW + 600, summed=True).state == "bad"
    assert judge(spend, "usd", [*steps([3.0], step=3600), running], NOW + 600).state == "good"  # a mean may yet fall


def test_of_a_sum_a_step_without_readings_is_nothing() -> None:
    assert judge(ABOVE, "usd", [], NOW + 20, summed=True).state == "good"
    assert judge(ABOVE, "usd", [], NOW + 20).state == "unclear"
    dead = Threshold(below=1, at_least=0)
    assert judge(dead, "count", [], NOW + 20, summed=True).state == "bad"
    assert judge(dead, "count", steps([5.0, None, None, None, None]), NOW + 20, summed=True).state == "unclear"


def test_an_estimate_counts_by_its_bound() -> None:
    rule = Threshold(above=0.1, step_seconds=3600, for_seconds=3600)
    noise = [Reading(at=NOW - 3600, value=0.2, count=20, low=0.06, high=0.4)]
    proof = [Reading(at=NOW - 3600, value=0.2, count=400, low=0.17, high=0.24)]
    assert [judge(rule, "share", one, NOW).state for one in (noise, proof)] == ["unclear", "bad"]
    low = Threshold(below=0.9, step_seconds=3600, for_seconds=3600)
    assert judge(low, "share", [Reading(at=NOW - 3600, value=0.85, count=20, low=0.6, high=0.95)], NOW).state == "unclear"
    assert judge(low, "share", [Reading(at=NOW - 3600, value=0.85, count=900, low=0.83, high=0.87)], NOW).state == "bad"


def test_a_counted_share_can_be_asked_for_proof() -> None:
    few = steps([0.34] * 5, count=1)
    assert judge(Threshold(above=0.1), "share", few, NOW).state == "bad"
    assert judge(Threshold(above=0.1, sure=True), "share", few, NOW).state == "unclear"
    sure = judge(Threshold(above=0.1, sure=True), "share", steps([0.34] * 5, count=100), NOW)
    assert sure.state == "bad"
    assert sure.low is not None
    assert 0.1 < sure.low < 0.34


def test_enough_must_be_behind_it() -> None:
    assert judge(Threshold(above=2000, at_least=51), "ms", steps([2100] * 5), NOW).state == "unclear"


def test_it_ends_only_well_clear_of_the_threshold() -> None:
    assert clear_at(ABOVE) == 1800
    assert clear_at(Threshold(below=0.9)) == pytest.approx(0.99)
    assert clear_at(Threshold(above=10, clear=4)) == 4
    slow = Threshold(above=2000, clear_seconds=600)
    values = [2100.0] + [100.0] * 9
    assert judge(slow, "ms", steps(values), NOW).state == "unclear"
    assert judge(slow, "ms", steps([100.0] * 10), NOW).state == "good"
    assert span(slow, NOW + 5) == (NOW - 600, NOW + 60)


@given(st.lists(st.none() | st.floats(0, 1), max_size=12), st.floats(0.01, 0.99), st.booleans())
def test_it_is_never_bad_and_good_and_bad_needs_all(values: list[float | None], limit: float, sure: bool) -> None:
    verdict = judge(Threshold(above=limit, sure=sure), "share", steps(values), NOW)
    window = [one for one in values[-5:] if one is not None]
    if verdict.state == "bad":
        assert window
        assert all(one > limit for one in window)
    if verdict.state == "good":
        assert all(one <= limit for one in window)
