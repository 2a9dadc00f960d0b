from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.statistics.betting import lower_mean, positive_mean

F = 0.95
VALUES = np.array([1 - F, 1.0, -F, 0.0])  # both right, only the policy, only the strong model, neither


def margins(n: int, columns: int, mean: float, seed: int = 1) -> NDArray[np.float64]:
    both, only = 0.72, 0.03
    lost = (both * (1 - F) + only - mean) / F
    rng = np.random.default_rng(seed)
    return VALUES[rng.choice(4, size=(n, columns), p=[both, only, lost, 1 - both - only - lost])]


@pytest.mark.parametrize(("n", "alpha"), [(100, 0.05), (400, 0.05), (400, 0.2)])
def test_a_floor_that_is_only_just_missed_is_claimed_in_alpha_of_the_cases(n: int, alpha: float) -> None:
    false = positive_mean(margins(n, 3000, 0.0), lowest=-F, alpha=alpha).mean()
    assert false <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 3000)


def test_skewed_margins_that_fool_the_z_test_are_no_danger() -> None:
    """One loss in 120 wipes out the gain of the rest: the z-test sees none of them in a third of all samples."""
    n, columns = 120, 3000
    rng = np.random.default_rng(5)
    drawn = np.where(rng.random((n, columns)) < 1 / 120, -F, F / 119)
    z = drawn.mean(axis=0) / np.maximum(drawn.std(axis=0) / np.sqrt(n), 1e-9)
    assert (z > 1.645).mean() > 0.3
    assert positive_mean(drawn, lowest=-F, alpha=0.05).mean() <= 0.062


@pytest.mark.parametrize(("n", "mean"), [(1000, 0.02), (300, 0.04), (2000, 0.012)])
def test_power_is_near_that_of_the_z_test(n: int, mean: float) -> None:
    drawn = margins(n, 1000, mean)
    z = drawn.mean(axis=0) / (drawn.std(axis=0) / np.sqrt(n))
    found = positive_mean(drawn, lowest=-F, alpha=0.05).mean()
    assert found > 0.6 * (z > 1.645).mean()
    assert found > 0.4


def test_never_losing_is_recognised_without_many_labels() -> None:
    always_strong = np.where(np.random.default_rng(2).random((120, 50)) < 0.85, 1 - F, 0.0)
    assert positive_mean(always_strong, lowest=-F, alpha=0.05).all()


def test_a_lower_bound_covers_and_is_not_idle() -> None:
    rng = np.random.default_rng(3)
    bounds = [lower_mean((rng.random(200) < 0.8).astype(float), lowest=0.0, highest=1.0, step=0.04) for _ in range(60)]
    assert sum(bound > 0.8 for bound in bounds) <= 7
    assert float(np.median(bounds)) > 0.7


def test_no_margins_and_impossible_ones() -> None:
    assert not positive_mean(np.zeros((0, 3)), lowest=-1, alpha=0.05).any()
    assert lower_mean(np.zeros(0), lowest=0.0, highest=1.0) == 0.0
    with pytest.raises(ValueError, match="below the lowest"):
        positive_mean(np.array([[-1.0]]), lowest=-0.5, alpha=0.05)
    with pytest.raises(ValueError, match="alpha"):
        positive_mean(np.array([[1.0]]), lowest=-0.5, alpha=1.0)
