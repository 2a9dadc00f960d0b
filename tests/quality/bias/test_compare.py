"""The paired test: its level under the null, known values, the interval's cover, Holm, and what is refused."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from penstock.quality.bias.compare import MCNEMAR, SIGN_FLIP, Comparison, compare, holm, mcnemar, sign_flip

pytest.importorskip("numpy")


def told(first: list[float], second: list[float], **more: Any) -> Comparison:
    return compare(first, second, attribute="gender", measure="score", groups=("female", "male"), at=5.0, **more)


def test_mcnemar_by_hand() -> None:
    assert mcnemar([1.0] * 8) == pytest.approx(2 / 2**8)
    assert mcnemar([1.0] * 6 + [-1.0] * 2 + [0.0] * 90) == pytest.approx(2 * (28 + 8 + 1) / 256)
    assert mcnemar([1.0, -1.0]) == 1.0
    assert mcnemar([0.0, 0.0]) == mcnemar([]) == 1.0


def test_sign_flip_is_exact_for_few_pairs() -> None:
    gains = [0.3, -0.1, 0.25, 0.4, 0.0, 0.05]
    sizes = [abs(g) for g in gains if g]
    reached = [abs(sum(s * g for s, g in zip(signs, sizes, strict=True))) for signs in itertools.product((1, -1), repeat=len(sizes))]
    assert sign_flip(gains) == pytest.approx(sum(one >= abs(sum(gains)) - 1e-9 for one in reached) / len(reached))
    assert sign_flip([]) == sign_flip([0.0]) == 1.0


def test_a_clear_difference_and_its_direction() -> None:
    found = told([0.0] * 60, [1.0] * 30 + [0.0] * 30, skipped=7)
    assert (found.method, found.verdict, found.pairs, found.differing, found.skipped) == (MCNEMAR, "differs", 60, 30, 7)
    assert (found.first, found.second, found.difference) == (0.0, 0.5, 0.5)
    assert 0 < found.low < 0.5 < found.high
    assert found.at == 5.0
    graded = told([0.2] * 40, [0.5] * 40)
    assert (graded.method, graded.verdict) == (SIGN_FLIP, "differs")


def test_no_difference_is_claimed_only_within_a_tolerance() -> None:
    few, many = told([0.5] * 10, [0.5] * 10), told([0.5] * 3000, [0.5] * 3000)
    assert (few.verdict, many.verdict) == ("unclear", "within_tolerance")
    assert few.p_value == 1.0
    assert many.high < 0.05


def test_without_pairs_nothing_is_said() -> None:
    found = told([], [], skipped=12)
    assert (found.verdict, found.difference, found.low, found.high, found.p_value) == ("unclear", None, -1.0, 1.0, 1.0)


@pytest.mark.parametrize("kind", ["binary", "graded", "skewed"])
def test_under_the_null_false_alarms_are_as_rare_as_stated(kind: str) -> None:
    """300 sets of 40 pairs whose sides are exchangeable: at most 5 % alarms, and chance (19 of 300 and more has a probability below .001
    at 15 expected)."""
    rng = random.Random(kind)
    alarms = 0
    for _ in range(300):
        gains: list[float] = []
        for _ in range(40):
            level = rng.random()
            match kind:
                case "binary":
                    one, other = float(rng.random() < level), float(rng.random() < level)
                case "graded":
                    one, other = (min(1.0, max(0.0, level + rng.gauss(0, 0.2))) for _ in range(2))
                case _:
                    one, other = level**4 * rng.random(), level**4 * rng.random()
            gains.append(other - one)
        alarms += (mcnemar(gains) if kind == "binary" else sign_flip(gains)) <= 0.05
    assert alarms <= 30


def test_the_interval_covers() -> None:
    """A true difference of .1 in 60 graded pairs: 60 intervals of 95 %; 52 hold it but for a chance of .01."""
    rng = random.Random(4)
    held = 0
    for _ in range(60):
        first = [rng.random() * 0.8 for _ in range(60)]
        second = [one + 0.2 * (rng.random() < 0.5) for one in first]
        found = told(first, second)
        held += found.low <= 0.1 <= found.high
    assert held >= 52


def test_holm_keeps_order_and_shares_the_risk() -> None:
    strong = told([0.0] * 40, [1.0] * 12 + [0.0] * 28)
    weak = told([0.0] * 40, [1.0] * 6 + [0.0] * 34)
    none = told([0.0] * 40, [0.0] * 40)
    assert weak.verdict == "differs"
    found = holm([weak, none, strong, none])
    assert [one.verdict for one in found] == ["unclear", "unclear", "differs", "unclear"]
    assert found[0].adjusted == pytest.approx(3 * weak.p_value)
    assert found[2].adjusted == pytest.approx(4 * strong.p_value)
    assert found[1].adjusted == 1.0
    assert [one.p_value for one in found] == [weak.p_value, 1.0, strong.p_value, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("first", "second", "more", "why"),
    [
        ([0.5], [], {}, "have 1 and 0 outcomes"),
        ([1.5], [0.5], {}, "between 0 and 1"),
        ([float("nan")], [0.5], {}, "between 0 and 1"),
        ([0.5], [0.5], {"confidence": 1.0}, "confidence"),
        ([0.5], [0.5], {"tolerance": -1.0}, "tolerance"),
    ],
)
def test_nonsense_is_refused(first: list[float], second: list[float], more: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        told(first, second, **more)
