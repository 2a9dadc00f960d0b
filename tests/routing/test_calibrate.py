from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from penstock.routing.calibrate import calibration_error, isotonic, platt


def drawn(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, n)
    chances = 1 / (1 + np.exp(-(1.5 * scores - 0.4)))
    return scores, chances, (rng.random(n) < chances).astype(float)


def test_platt_finds_the_sigmoid_that_made_the_outcomes() -> None:
    scores, chances, outcomes = drawn(4000)
    found = platt(scores, outcomes)
    assert (found.slope, found.shift) == pytest.approx((1.5, -0.4), abs=0.12)
    assert calibration_error(found.chances(scores), outcomes) < 0.03
    assert calibration_error(np.clip(chances * 0.5, 0, 1), outcomes) > 0.15


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_that_are_all_alike_and_scores_without_spread_stay_finite(outcome: float) -> None:
    found = platt(np.arange(30.0), np.full(30, outcome))
    assert np.isfinite([found.slope, found.shift]).all()
    assert abs(float(found.chances(np.array([15.0]))[0]) - outcome) < 0.1
    flat = platt(np.zeros(30), np.array([1.0, 0.0] * 15))
    assert float(flat.chances(np.array([0.0]))[0]) == pytest.approx(0.5)


def test_separated_outcomes_do_not_run_away() -> None:
    found = platt(np.arange(40.0), (np.arange(40) >= 20).astype(float))
    assert 0 < found.slope < 10


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=60))
def test_isotonic_rises_and_keeps_the_mean(pairs: list[tuple[float, float]]) -> None:
    scores, outcomes = (np.array(column) for column in zip(*pairs, strict=True))
    found = isotonic(scores, outcomes)
    values = found.chances(np.sort(scores))
    assert (np.diff(values) >= -1e-12).all()
    assert float(values.min()) >= 0
    assert float(values.max()) <= 1


def test_isotonic_follows_the_outcomes() -> None:
    scores, chances, outcomes = drawn(4000, 1)
    assert float(np.abs(isotonic(scores, outcomes).chances(scores) - chances).mean()) < 0.05
    with pytest.raises(ValueError, match="nothing"):
        isotonic(np.zeros(0), np.zeros(0))
