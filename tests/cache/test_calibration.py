from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cache.calibration import STARTS, Pair, below, calibrate, curve, lower, upper


def exactly(count: int, of: int, share: float) -> float:
    return math.fsum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count + 1))


@given(st.integers(1, 60), st.data(), st.floats(0.001, 0.999))
def test_the_binomial_distribution_is_right(of: int, data: st.DataObject, share: float) -> None:
    count = data.draw(st.integers(0, of))
    assert below(count, of, share) == pytest.approx(min(1.0, exactly(count, of, share)), abs=1e-9)


@pytest.mark.parametrize(
    ("count", "of", "high"),
    # R: binom.test(count, of, alternative = "less")$conf.int[2]; 0 of n is 1 - 0.05^(1/n).
    [(0, 299, 1 - 0.05 ** (1 / 299)), (0, 10, 1 - 0.05**0.1), (1, 10, 0.3941633), (5, 1000, 0.01048438), (10, 10, 1.0)],
)
def test_the_upper_bound_is_that_of_clopper_and_pearson(count: int, of: int, high: float) -> None:
    assert upper(count, of, 0.95) == pytest.approx(high, abs=1e-6)


def test_bounds_far_out_hold_still() -> None:
    assert upper(0, 0, 0.95) == 1.0
    assert lower(0, 10, 0.95) == 0.0
    assert lower(10, 10, 0.95) == pytest.approx(0.05**0.1)
    assert 0.0099 < upper(5_000, 500_000, 0.95) - 0.0001 < 0.0103
    assert below(0, 10, 0.0) == 1.0
    assert below(3, 10, 1.0) == 0.0


def pairs(draw: random.Random, count: int, wrong: float) -> list[Pair]:
    """Similarities from 0.6 to 1; below 0.9 half of the pairs have another answer, above it ``wrong`` of them."""
    made: list[Pair] = []
    for _ in range(count):
        similarity = draw.uniform(0.6, 1.0)
        made.append((similarity, True, draw.random() >= (wrong if similarity >= 0.9 else 0.5)))
    return made


def test_a_threshold_is_found_where_there_is_one_and_refused_where_there_is_none() -> None:
    draw = random.Random(1)
    found = calibrate(pairs(draw, 6_000, 0.0), bound=0.01, confidence=0.95, wording=True)
    assert found.threshold is not None
    assert 0.895 <= found.threshold <= 0.92
    assert found.upper <= 0.01
    assert found.reason == ""
    none = calibrate(pairs(draw, 6_000, 0.1), bound=0.01, confidence=0.95, wording=True)
    assert (none.threshold, "too many of them are false" in none.reason) == (None, True)
    few = calibrate(pairs(draw, 60, 0.0), bound=0.01, confidence=0.95, wording=True)
    assert (few.threshold, "it takes 437 without a fault" in few.reason) == (None, True)
    nothing = calibrate([], bound=0.01, confidence=0.95, wording=True)
    assert (nothing.threshold, nothing.pairs, nothing.steps) == (None, 0, ())


def test_a_first_mistake_does_not_end_all_sequences() -> None:
    made: list[Pair] = [(0.99, True, False), *[(0.98, True, True)] * 450, *[(0.95, True, True)] * 4000]
    found = calibrate(made, bound=0.01, confidence=0.95, wording=True)
    assert found.threshold is not None
    assert found.false == 1


def test_pairs_that_are_worded_apart_are_no_hits_where_that_counts() -> None:
    made: list[Pair] = [*[(0.99, True, True)] * 500, *[(0.99, False, False)] * 500]
    assert calibrate(made, bound=0.01, confidence=0.95, wording=True).threshold is not None
    assert calibrate(made, bound=0.01, confidence=0.95, wording=False).threshold is None


def test_the_bound_holds_for_the_threshold_that_is_picked() -> None:
    """60 calibrations on traffic whose pairs are wrong ever more often below 0.95: a picked threshold's true share of false hits is over
    the bound in at most 1 - confidence of them (5 %: 3 of 60; 8 leaves room for chance)."""
    draw = random.Random(7)

    def wrong(similarity: float) -> float:
        return 0.0 if similarity >= 0.95 else (0.95 - similarity) * 0.8

    grid = [0.6 + 0.4 * (i + 0.5) / 1000 for i in range(1000)]
    broken = 0
    for _ in range(60):
        made: list[Pair] = [(s, True, draw.random() >= wrong(s)) for s in (draw.uniform(0.6, 1.0) for _ in range(3_000))]
        found = calibrate(made, bound=0.02, confidence=0.95, wording=True)
        if found.threshold is not None:
            above = [s for s in grid if s >= found.threshold]
            broken += sum(map(wrong, above)) / len(above) > 0.02
    assert broken <= 8
    assert STARTS == 4


def test_a_curve_counts() -> None:
    made: list[Pair] = [(0.95, True, True), (0.9, True, False), (0.8, False, True)]
    steps = curve(made, wording=False, confidence=0.95, grid=(0.92, 0.9, 0.7))
    assert [(step.hits, step.false) for step in steps] == [(1, 0), (2, 1), (3, 1)]
