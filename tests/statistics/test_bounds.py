from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.statistics.bounds import (
    binomial_p_value,
    clopper_pearson,
    hoeffding_bentkus,
    incomplete_beta,
    labels_needed,
    lower_bound,
    wilson,
)


def tail(k: int, n: int, p: float) -> float:
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def chance(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@given(st.integers(1, 60), st.data(), st.floats(0.01, 0.99))
def test_the_tail_is_the_sum_of_its_terms(n: int, data: st.DataObject, p: float) -> None:
    k = data.draw(st.integers(0, n))
    assert binomial_p_value(k, n, p) == pytest.approx(tail(k, n, p), rel=1e-9, abs=1e-13)


def test_published_values() -> None:
    # Brown, Cai and DasGupta 2001 and any table: 8 of 10.
    assert clopper_pearson(8, 10) == pytest.approx((0.44390, 0.97479), abs=1e-5)
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)
    assert clopper_pearson(0, 20)[1] == pytest.approx(1 - 0.025 ** (1 / 20))  # closed forms at the ends
    assert lower_bound(20, 20) == pytest.approx(0.05 ** (1 / 20))
    assert incomplete_beta(2, 3, 0.5) == pytest.approx(0.6875)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [7, 40, 150])
def test_exact_bounds_cover_whatever_the_rate(rate: float, n: int) -> None:
    """No simulation needed: every outcome of n tries, weighed by how likely it is."""
    outcomes = [(chance(k, n, rate), *clopper_pearson(k, n), lower_bound(k, n)) for k in range(n + 1)]
    assert sum(weight for weight, low, high, _ in outcomes if low <= rate <= high) >= 0.95
    assert sum(weight for weight, _, _, floor in outcomes if floor <= rate) >= 0.95


def test_wilson_covers_on_average_over_rates() -> None:
    n, rates = 50, [i / 40 for i in range(1, 40)]
    covered = [sum(chance(k, n, p) for k in range(n + 1) if wilson(k, n)[0] <= p <= wilson(k, n)[1]) for p in rates]
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.01)


@given(st.integers(1, 400), st.data())
def test_the_bound_is_the_floor_that_is_just_rejected(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    floor = lower_bound(k, n)
    assert binomial_p_value(k, n, floor) <= 0.05 + 1e-9
    assert binomial_p_value(k, n, min(1.0, floor + 1e-6)) > 0.05 - 1e-4
    assert floor < k / n


def test_hoeffding_bentkus_is_valid_and_never_sharper_than_the_exact_test() -> None:
    n, floor = 80, 0.8
    p_values = [(chance(k, n, floor), hoeffding_bentkus(k / n, n, floor)) for k in range(n + 1)]
    for level in (0.01, 0.05, 0.2):
        assert sum(weight for weight, p in p_values if p <= level) <= level
    assert all(hoeffding_bentkus(k / n, n, floor) >= binomial_p_value(k, n, floor) - 1e-12 for k in range(65, n + 1))


def test_hoeffding_bentkus_holds_for_values_between_zero_and_one() -> None:
    rng = random.Random(4)
    false = sum(hoeffding_bentkus(sum(rng.betavariate(4, 1) for _ in range(60)) / 60, 60, 0.8) <= 0.05 for _ in range(1500))
    assert false <= 75


def test_labels_needed() -> None:
    assert labels_needed(0.8, 0.16, 0.8) is None
    assert labels_needed(0.7, 0.21, 0.8) is None
    assert labels_needed(0.85, 0.1275, 0.8) == pytest.approx(316, abs=2)  # (1.645 + 0.842)^2 x 0.1275 / 0.05^2


def test_nothing_observed_claims_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert binomial_p_value(0, 0, 0.5) == 1.0
    assert hoeffding_bentkus(0.0, 0, 0.5) == 1.0


@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.9), (-1, 2, 0.9), (1, 2, 1.0), (0, -1, 0.9)])
def test_counts_that_cannot_be_are_refused(k: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="successes"):
        lower_bound(k, n, confidence)
