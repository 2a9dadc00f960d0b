from __future__ import annotations

import numpy as np
import pytest

from penstock.routing.certify import Floor
from penstock.routing.choice import choose, dial, mixture, pick, single

RNG = np.random.default_rng(0)
N = 1500
EASE = RNG.random(N)
SMALL = (RNG.random(N) < 0.28 + 0.72 * EASE).astype(float)
LARGE = (RNG.random(N) < 0.72 + 0.28 * EASE).astype(float)
COSTS = np.array([1.0, 20.0])
WORTHS = (10_000.0, 200.0, 100.0, 60.0, 40.0, 25.0, 0.0)


def known() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.stack([0.28 + 0.72 * EASE, 0.72 + 0.28 * EASE], axis=1)


def test_the_cheapest_option_that_holds_is_chosen() -> None:
    options = [single("small", SMALL, 1.0), single("large", LARGE, 20.0), mixture("coin", SMALL, LARGE, (1.0, 20.0))]
    options.append(dial("router", known(), np.stack([SMALL, LARGE], axis=1), COSTS, WORTHS))
    found = choose(options, Floor(level=0.95), reference=LARGE)
    assert found.option == "router"
    assert found.considered["small"].policy is None
    assert found.considered["coin"].policy is not None
    assert found.cost is not None
    assert found.cost < options[2].costs[found.considered["coin"].policy]
    assert "router" in found.why


def test_nothing_is_chosen_on_false_proof() -> None:
    found = choose([single("small", SMALL[:60], 1.0)], Floor(level=0.9), reference=LARGE[:60])
    assert (found.option, found.policy, found.cost) == (None, None, None)
    assert found.why.startswith("cannot certify any of 1 options; nearest is small")


def test_options_share_what_may_go_wrong() -> None:
    """Fifty coins just below the floor: each at the full level would be believed in one of twenty cases, and one of them nearly always."""
    believed = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        coins = [single(str(k), (rng.random(200) < 0.8).astype(float), 1.0) for k in range(50)]
        believed += choose(coins, Floor(level=0.8, kind="absolute")).option is not None
    assert believed <= 5


def test_a_dial_weighs_a_right_answer_against_its_price() -> None:
    chances = np.array([[0.5, 0.9], [0.9, 0.92]])
    assert pick(chances, COSTS, 100.0).tolist() == [1, 0]
    assert pick(chances, COSTS, 0.0).tolist() == [0, 0]
    assert pick(chances[0], COSTS, 1e6).tolist() == 1
    assert pick(np.array([[0.5, 0.5]]), np.array([2.0, 1.0]), 5.0).tolist() == [1]


def test_options_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="name of its own"):
        choose([single("a", SMALL, 1.0), single("a", LARGE, 2.0)], Floor(level=0.9), reference=LARGE)
    with pytest.raises(ValueError, match="at least one"):
        choose([], Floor(level=0.9))
