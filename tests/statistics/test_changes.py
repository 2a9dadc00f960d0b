"""Changes are found soon, seldom where there are none, and placed where they came."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from penstock.statistics.changes import Bets, Numbers, changed_at, changed_category

LIMIT = 10_000.0
Draw = Callable[[random.Random], float]


def normal(mean: float, spread: float = 1.0) -> Draw:
    return lambda chance: chance.gauss(mean, spread)


def category(*weights: float) -> Draw:
    return lambda chance: float(chance.choices(range(len(weights)), weights)[0])


def waits(chance: random.Random) -> float:
    return chance.expovariate(1)


def alarm(before: Draw, after: Draw, *, tau: int, n: int, seed: int, limit: float = LIMIT, reference: int = 200) -> int | None:
    """After how many scores it says that they changed; they do after ``tau``."""
    chance = random.Random(seed)
    detector = Numbers([before(chance) for _ in range(reference)], seed)
    for at in range(n):
        if detector.observe((before if at < tau else after)(chance)) >= limit:
            return at
    return None


@pytest.mark.parametrize(
    ("before", "after", "within"),
    [
        (normal(0), normal(1), 60),
        (normal(0), normal(-1), 60),
        (normal(0), normal(0, 2.5), 120),  # the spread alone
        (category(0.25, 0.25, 0.25, 0.25), category(0.7, 0.1, 0.1, 0.1), 60),
        (category(1, 0), category(0.7, 0.3), 60),  # one that never came
    ],
)
def test_a_change_is_found_soon(before: Draw, after: Draw, within: int) -> None:
    delays = [at - 200 for seed in range(8) if (at := alarm(before, after, tau=200, n=600, seed=seed)) is not None]
    assert len(delays) == 8
    assert min(delays) >= 0
    assert sorted(delays)[4] <= within


@pytest.mark.parametrize("draw", [normal(0), category(0.9, 0.05, 0.05), category(1), waits])
def test_false_alarms_are_as_seldom_as_promised(draw: Draw) -> None:
    """The evidence grows by one a score on average, so within 200 scores it reaches 1,000 in a fifth of all streams at the most."""
    alarms = [alarm(draw, draw, tau=0, n=200, seed=seed, limit=1000.0, reference=50) for seed in range(40)]
    assert sum(at is not None for at in alarms) <= 8 + 6  # the chance of more is below 1 in 100


def test_money_is_fair() -> None:
    """The sum of the bets grows by one a score on average, which is what the promise follows from."""
    chance, ended = random.Random(0), list[float]()
    for _ in range(3000):
        bets = Bets()
        for _ in range(5):
            bets.observe(chance.random())
        ended.append(bets.evidence)
    assert sum(ended) / len(ended) == pytest.approx(5, rel=0.15)


def test_evidence_stays_a_number() -> None:
    bets = Bets()
    for _ in range(3000):
        bets.observe(1.0)
    assert bets.evidence < 1e101


def test_a_change_is_placed_where_it_came() -> None:
    chance = random.Random(4)
    values = [chance.gauss(0, 1) for _ in range(300)] + [chance.gauss(1.5, 1) for _ in range(40)]
    assert abs(changed_at(values) - 300) <= 8
    spread = [chance.gauss(0, 1) for _ in range(300)] + [chance.gauss(0, 5) for _ in range(60)]
    assert abs(changed_at(spread) - 300) <= 15
    kinds = [chance.randrange(4) for _ in range(300)] + [chance.choice((0, 0, 0, 1, 2, 3)) for _ in range(60)]
    assert abs(changed_category(kinds, 4) - 300) <= 15
    assert changed_at([1.0, 2.0]) == 1
    assert changed_category([0, 1], 2) == 1
    assert 0 <= changed_at([1.0] * 50) < 50
