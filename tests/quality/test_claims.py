"""What scores support."""

from __future__ import annotations

import random

import pytest

from penstock.quality import claims
from penstock.quality.claims import claim, difference, holm, interval, relative_claim, together


def test_a_claim_counts_what_is_missing_against_itself() -> None:
    values = [1.0] * 95 + [0.0] * 5
    assert claim(values, 0, 0.85, 0.95, whole=True).verdict == "meets"
    open_one = claim(values, 15, 0.85, 0.95, whole=True)
    assert (open_one.verdict, open_one.method) == ("open", "binomial")
    assert claim(values, 0, 0.99, 0.95, whole=True).verdict == "below"
    assert claim(values, 15, 0.99, 0.95, whole=True).verdict != "meets"
    assert claim(values, 0, 0.99, 0.95, whole=True, least=200).verdict == "too_few"
    assert claim([], 0, 0.9, 0.95, whole=True).verdict == "too_few"
    assert claim([], 10, 0.9, 0.95, whole=True).verdict != "meets"


def test_a_floor_of_one_is_missed_by_a_single_wrong_answer_and_never_proved() -> None:
    assert claim([1.0] * 1000, 0, 1.0, 0.95, whole=True).verdict == "open"
    assert claim([1.0] * 1000 + [0.0], 0, 1.0, 0.95, whole=True).verdict == "below"


def test_an_open_claim_says_how_many_scores_it_would_take() -> None:
    told = claim([1.0] * 46 + [0.0] * 4, 0, 0.85, 0.95, whole=True)
    assert told.verdict == "open"
    assert told.needed is not None
    assert 50 < told.needed < 500


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_false_claims_are_as_rare_as_promised(monkeypatch: pytest.MonkeyPatch, numpy: bool, whole: bool) -> None:
    monkeypatch.setattr(claims, "_numpy", lambda: numpy)
    chance, tries = random.Random(5), 200
    false = missed = 0
    for _ in range(tries):
        values = [float(chance.random() < 0.8) if whole else min(1.0, chance.random() * 0.4 + 0.6) for _ in range(150)]
        false += claim(values, 0, 0.8, 0.9, whole=whole).verdict != "open"
        missed += claim(values, 0, 0.65, 0.9, whole=whole).verdict != "meets"
    # Two sides at a tenth each; the exact ones stay below.
    assert false <= 0.2 * tries + 3 * (tries * 0.2 * 0.8) ** 0.5
    assert missed <= (0.1 if whole or numpy else 0.9) * tries


def test_a_relative_floor_is_about_pairs_and_a_gap_is_the_worst_that_it_could_be() -> None:
    same: list[tuple[float | None, float | None]] = [(1.0, 1.0)] * 160 + [(0.0, 0.0)] * 40
    assert relative_claim(same, 0.9, 0.95).verdict == "meets"
    assert relative_claim([*same, *([(None, 1.0)] * 60)], 0.9, 0.95).verdict == "open"
    assert relative_claim([(0.0, 1.0)] * 40 + [(1.0, 1.0)] * 60, 0.9, 0.95).verdict == "below"
    assert relative_claim([], 0.9, 0.95).verdict == "too_few"


def test_a_difference_is_tested_on_the_items_that_tell_them_apart() -> None:
    told = difference([1.0] * 60 + [0.0] * 5, [1.0] * 50 + [0.0] * 10 + [1.0] * 5)
    assert (told.better, told.worse, told.same, told.method) == (10, 5, 50, "mcnemar")
    assert told.p == pytest.approx(0.3018, abs=1e-3)  # two-sided exact binomial of 10 of 15
    assert told.low < told.difference < told.high
    assert difference([0.3, 0.5], [0.3, 0.5]).p == 1.0
    assert difference([0.3, 0.5], [0.2, 0.4]).method == "sign"


def test_several_claims_at_once_are_corrected() -> None:
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    alone = claim([1.0] * 45 + [0.0], 0, 0.9, 0.95, whole=True)
    assert alone.verdict == "meets"
    assert [one.verdict for one in together([alone] * 5)] == ["open"] * 5
    few = claim([1.0], 0, 0.9, 0.95, whole=True, least=30)
    assert [one.verdict for one in together([alone, few])] == ["meets", "too_few"]


def test_intervals_for_the_eye() -> None:
    assert interval([]) == claims.Interval(0.0, 1.0, "wilson")
    assert interval([1.0, 0.0]).method == "wilson"
    shown = interval([0.5, 0.75] * 50)
    assert shown.method == "bootstrap"
    assert 0.58 < shown.low < 0.625 < shown.high < 0.67
