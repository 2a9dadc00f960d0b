from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.routing.certify import Certificate, Floor, certify, walk

SHARES = np.linspace(0, 1, 21)  # of calls that go to the weak model


def labelled(n: int, seed: int, policies: NDArray[np.float64] = SHARES) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strong right in .86, weak in .64: policy k sends the easiest k-th part, by an estimate that knows something, to the weak model."""
    rng = np.random.default_rng(seed)
    ease = rng.random(n)
    strong = (rng.random(n) < 0.72 + 0.28 * ease).astype(float)
    weak = (rng.random(n) < 0.28 + 0.72 * ease).astype(float)
    return np.where(1 - ease[:, None] < policies[None, :], weak[:, None], strong[:, None]), strong


def true_quality(share: float) -> float:
    """The expectation of policy ``share``: the integral over ease."""
    cut = 1 - share
    return (0.72 * cut + 0.14 * cut**2) + (0.28 * share + 0.36 * (1 - cut**2))


@pytest.mark.parametrize(("floor", "starts"), [(Floor(level=0.95), 1), (Floor(level=0.95), 4), (Floor(level=0.82, kind="absolute"), 1)])
def test_floors_are_violated_in_at_most_alpha_of_the_cases_and_a_plug_in_threshold_in_many(floor: Floor, starts: int) -> None:
    wanted = floor.level * (true_quality(0) if floor.kind == "relative" else 1)
    false = plugged = claimed = 0
    for seed in range(60):
        scores, strong = labelled(300, seed)
        found = certify(scores, 1 - SHARES, floor, reference=strong, starts=starts)
        claimed += found.policy is not None
        false += any(true_quality(SHARES[column]) < wanted for column in found.certified)
        looks = scores.mean(axis=0) >= floor.level * (strong.mean() if floor.kind == "relative" else 1)
        plugged += true_quality(SHARES[np.flatnonzero(looks).max(initial=0)]) < wanted
    assert false <= 7  # 3 expected at most; 7 is beyond its 98th percentile
    assert plugged >= 18
    assert claimed >= 20


def test_what_is_chosen_is_the_cheapest_that_holds() -> None:
    scores, strong = labelled(3000, 1)
    found = certify(scores, 1 - SHARES, Floor(level=0.95), reference=strong)
    assert found.policy == max(found.certified)
    assert 0.2 < SHARES[found.policy] < 0.6
    assert "3000 labels" in found.why
    dearest = certify(scores, SHARES, Floor(level=0.95), reference=strong)
    assert dearest.policy == 0


def test_too_few_labels_say_how_many_would_do() -> None:
    scores, strong = labelled(30, 3)
    found = certify(scores, 1 - SHARES, Floor(level=0.9, kind="absolute"), reference=strong)
    assert found.policy is None
    assert "more labels will hardly help" in found.why or found.labels_wanted is not None
    few = certify(np.ones((20, 1)), np.ones(1), Floor(level=0.99, kind="absolute"))
    assert few.policy is None
    assert "too few" in few.why
    assert few.labels_wanted is not None
    assert few.labels_wanted > 20


def test_a_floor_that_nobody_reaches_is_said_to_be_out_of_reach() -> None:
    scores, strong = labelled(500, 4)
    found = certify(scores, 1 - SHARES, Floor(level=0.99, kind="absolute"), reference=strong)
    assert found == Certificate(policy=None, certified=(), labels=500, quality=found.quality, why=found.why)
    assert "another model" in found.why


def test_no_labels_claim_nothing() -> None:
    found = certify(np.zeros((0, 3)), np.ones(3), Floor(level=0.9), reference=np.zeros(0))
    assert (found.policy, found.why) == (None, "there are no labels")


def test_a_walk_ends_at_its_first_failure_and_starts_are_apart() -> None:
    holds = np.array([True, True, False, True, True, True, False, True])
    assert walk(holds) == (0, 1)
    assert walk(holds, 2) == (0, 1, 4, 5)
    assert walk(~holds) == ()


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the scores"):
        certify(np.ones((5, 1)), np.ones(1), Floor(level=0.9))
    with pytest.raises(ValueError, match="between 0 and 1"):
        certify(np.full((5, 1), 2.0), np.ones(1), Floor(level=0.9, kind="absolute"))
    with pytest.raises(ValueError, match="no policy"):
        certify(np.ones((5, 0)), np.ones(0), Floor(level=0.9))
