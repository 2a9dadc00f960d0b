from __future__ import annotations

import numpy as np
import pytest

from penstock.statistics.intervals import bootstrap, mean_interval, ratio_interval


def test_the_mean_is_covered_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        low, high = mean_interval(rng.random(120) * 2, draws=200, seed=trial)
        covered += low <= 1.0 <= high
    assert 87 <= covered <= 100


def test_pairs_stay_paired() -> None:
    rng = np.random.default_rng(1)
    prompt = rng.random(300)
    better = prompt + 0.05 + rng.normal(0, 0.01, 300)
    low, high = mean_interval(better - prompt)
    assert 0.045 < low < 0.05 < high < 0.055
    low, high = bootstrap(np.stack([better, prompt], axis=1), lambda rows: float((rows[:, 0] - rows[:, 1]).mean()))
    assert 0.045 < low < 0.05 < high < 0.055


def test_a_ratio_and_its_absence() -> None:
    below = np.ones(50)
    assert ratio_interval(below * 0.9, below) == pytest.approx((0.9, 0.9))
    with pytest.raises(ValueError, match="0 everywhere"):
        ratio_interval(below, below * 0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).random(40)
    assert mean_interval(values, seed=7) == mean_interval(values, seed=7)
