"""Means from many judgements and few labels: they cover the truth whatever the judge is worth, and gain by a good one."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from penstock.statistics.intervals import mean_interval
from penstock.statistics.prediction_powered import LEAST, Sums, estimate, student, sums

DRAWS = 400


def drawn(random: random.Random, rate: float, hit: float, false: float, n: int, weigh: bool = False) -> list[tuple[float, float, float]]:
    """Replies: a truth, and a judge that calls ``hit`` of the bad ones bad, and ``false`` of the good ones. With ``weigh`` bad replies are
    drawn half as often, and weigh twice as much."""
    rows: list[tuple[float, float, float]] = []
    while len(rows) < n:
        bad = random.random() < rate
        if weigh and bad and random.random() < 0.5:
            continue
        rows.append((2.0 if weigh and bad else 1.0, float(bad), float(random.random() < (hit if bad else false))))
    return rows


@pytest.mark.parametrize(
    ("rate", "hit", "false", "labels", "weigh"),
    [
        (0.3, 0.9, 0.1, 50, False),  # a good judge
        (0.3, 0.5, 0.5, 50, False),  # one that guesses
        (0.3, 0.1, 0.9, 50, False),  # one that is wrong
        (0.05, 0.9, 0.02, 30, False),  # a rare fault, few labels
        (0.3, 0.9, 0.1, LEAST, False),
        (0.2, 0.85, 0.15, 100, True),
    ],
)
def test_the_truth_is_covered(rate: float, hit: float, false: float, labels: int, weigh: bool) -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(DRAWS):
        labelled = drawn(chance, rate, hit, false, labels, weigh)
        judged = drawn(chance, rate, hit, false, 400, weigh)
        found = estimate(sums((w, 0.0, f) for w, _, f in judged), sums(labelled))
        assert found is not None
        assert 0 <= found.low <= found.value <= found.high <= 1
        held += found.low <= rate <= found.high
    # At 95 % a coverage below 92 % in 400 draws has a chance of 1 in 200.
    assert held / DRAWS >= 0.92


def test_a_good_judge_narrows_and_a_bad_one_does_no_harm() -> None:
    chance = random.Random(1)

    def width(hit: float, false: float) -> float:
        rows = drawn(chance, 0.3, hit, false, 2000)
        found = estimate(sums((w, 0.0, f) for w, _, f in drawn(chance, 0.3, hit, false, 20_000)), sums(rows))
        assert found is not None
        return found.high - found.low

    import numpy as np

    low, high = mean_interval(np.array([y for _, y, _ in drawn(chance, 0.3, 1, 0, 2000)]))
    assert width(0.95, 0.05) < 0.6 * (high - low)
    assert width(0.5, 0.5) == pytest.approx(high - low, rel=0.1)


def test_labels_of_elsewhere_carry_over_the_mistakes_alone() -> None:
    """A day on which replies are worse, corrected by labels of other days: with power 1 the day's own level stays."""
    chance = random.Random(3)
    held = 0
    for _ in range(DRAWS):
        labelled = drawn(chance, 0.1, 0.8, 0.2, 100)
        judged = [(1.0, 0.0, float(chance.random() < 0.6 * 0.8 + 0.4 * 0.2)) for _ in range(300)]
        found = estimate(sums(judged), sums(labelled), power=1.0)
        assert found is not None
        # The judge calls 56 % bad there, and on the labels 26 % where 10 % are: the difference is what carries over.
        held += found.low <= 0.56 - 0.26 + 0.1 <= found.high
    assert held / DRAWS >= 0.92


def test_without_enough_labels_the_judge_alone_speaks() -> None:
    rows = drawn(random.Random(5), 0.3, 0.9, 0.1, LEAST - 1)
    found = estimate(sums((1.0, 0.0, 1.0) for _ in range(91)), sums(rows))
    assert found is not None
    assert (found.method, found.labelled, found.judged) == ("judge", 0, 100)
    assert found.value == pytest.approx((91 + sum(f for _, _, f in rows)) / 100)
    assert estimate(Sums(), Sums()) is None


def test_labels_alone() -> None:
    rows = [(1.0, 0.0, 0.0)] * 30
    found = estimate(Sums(), sums(rows))
    assert found is not None
    assert (found.method, found.value, found.low) == ("labels", 0.0, 0.0)
    assert 0.05 < found.high < 0.25, "thirty labels without a fault do not prove that there is none"
    assert estimate(Sums(), sums(rows), power=1.0) is None


def test_sums_add_up() -> None:
    rows = drawn(random.Random(2), 0.4, 0.7, 0.3, 60, weigh=True)
    together, apart = sums(rows), sums(rows[:20]) + sums(rows[20:])
    assert (together.n, apart.n) == (60, 60)
    assert apart.wwyf == pytest.approx(together.wwyf)
    assert together.wy / together.w == pytest.approx(sum(w * y for w, y, _ in rows) / sum(w for w, _, _ in rows))
    assert fmean(f for _, _, f in rows) != pytest.approx(together.wf / together.w), "the weights matter here"


@pytest.mark.parametrize(("freedom", "wanted"), [(8, 2.306), (11, 2.201), (30, 2.0423), (1000, 1.9623)])
def test_quantiles(freedom: float, wanted: float) -> None:
    assert student(0.975, freedom) == pytest.approx(wanted, rel=2e-3)
