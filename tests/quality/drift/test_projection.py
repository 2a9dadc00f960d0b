"""A map shows in two dimensions what differs most."""

from __future__ import annotations

import numpy as np

from penstock.quality.drift.projection import project, thinned


def test_the_axes_are_those_of_most_variance() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (300, 8)) * np.array([10, 4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    flat, shown = project(points)
    assert flat.min() >= 0
    assert flat.max() <= 1
    assert abs(np.corrcoef(flat[:, 0], points[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(flat[:, 1], points[:, 1])[0, 1]) > 0.99
    assert 0.8 < shown[0] < 0.95
    assert sum(shown) > 0.99


def test_points_that_are_all_one_stay_numbers() -> None:
    flat, _ = project(np.ones((5, 4)))
    assert np.isfinite(flat).all()


def test_thinned_evenly() -> None:
    ids = [str(at) for at in range(1000)]
    assert thinned(ids, 4) == ["0", "250", "500", "750"]
    assert thinned(ids[:3], 4) == ids[:3]
