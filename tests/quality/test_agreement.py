"""Agreement with people, and what gives a bad judge away."""

from __future__ import annotations

import random

import pytest

from penstock.quality.agreement import Agreement, agreement, faults, group, self_preference, swaps


def told(pairs: list[tuple[int, int]], **more: object) -> list[str]:
    given = {
        "judged": len(pairs),
        "unjudged": 0,
        "classes": [a for a, _ in pairs],
        "measured": agreement(pairs),
        "swapped": None,
        "preference": None,
        "contradicting": 0,
    }
    return faults(**{**given, **more})  # type: ignore[arg-type]


def test_kappa_is_cohens() -> None:
    # Cohen 1960's kind of table: 20 and 15 of 50 alike, 5 and 10 not; kappa 0.4 by hand.
    found = agreement([(1, 1)] * 20 + [(0, 0)] * 15 + [(1, 0)] * 5 + [(0, 1)] * 10)
    assert found is not None
    assert (found.raw, found.kappa) == (0.7, pytest.approx(0.4))
    assert found.kappa_low is not None
    assert found.kappa_low < 0.4 < (found.kappa_high or 0)
    assert agreement([]) is None
    alike = agreement([(1, 1)] * 50)
    assert isinstance(alike, Agreement)
    assert alike.kappa is None


def test_a_good_judge_is_trusted_once_enough_is_known() -> None:
    few = [(1, 1)] * 4 + [(0, 0)] * 4
    (fault,) = told(few)
    assert "kappa 1.00" in fault  # all alike, and still no proof
    assert told([(1, 1)] * 40 + [(0, 0)] * 40 + [(1, 0)] * 4 + [(0, 1)] * 4) == []
    assert "nobody has labelled" in told([], measured=None, judged=50, classes=[0, 1] * 25)[0]


@pytest.mark.parametrize("seed", range(5))
def test_a_random_judge_is_found(seed: int) -> None:
    chance = random.Random(seed)
    (fault,) = told([(chance.randint(0, 1), chance.randint(0, 1)) for _ in range(200)])
    assert "agreement beyond chance" in fault


def test_a_constant_judge_is_found_with_and_without_people() -> None:
    assert any("says the same of all 60" in fault for fault in told([(1, 1)] * 50 + [(1, 0)] * 10))
    assert any("says the same of all 30" in fault for fault in told([], judged=30, classes=[1] * 30, measured=None))


def test_a_judge_that_prefers_a_place_or_fails_is_found() -> None:
    swapped = swaps([(1.0, 0.0)] * 30 + [(1.0, 1.0)] * 10)
    assert swapped is not None
    assert (swapped.contradicted, swapped.for_first) == (30, 30)
    assert any("stands first: 30 of 40" in fault for fault in told([], measured=None, swapped=swapped))
    even = swaps([(1.0, 0.0)] * 8 + [(0.0, 1.0)] * 8)
    assert not any("stands" in fault for fault in told([], measured=None, swapped=even))
    assert any("it fails: 20 of 60" in fault for fault in told([], measured=None, judged=40, unjudged=20))


def test_a_judge_that_prefers_its_own_is_found() -> None:
    found = self_preference([0.5, 0.25, 0.5, 0.75] * 10, [0.0, -0.25, 0.25] * 10, "people")
    assert found is not None
    assert found.low > 0.2
    assert any("its own model's answers" in fault for fault in told([], measured=None, preference=found))
    fair = self_preference([0.1, -0.1] * 10, [0.0, 0.1, -0.1] * 10, "people")
    assert fair is not None
    assert fair.low < 0 < fair.high
    assert self_preference([1.0], [0.0, 0.0], "people") is None


def test_people_who_contradict_each_other_are_told() -> None:
    good = [(1, 1)] * 40 + [(0, 0)] * 40
    assert told(good, contradicting=10) == []
    assert told(good, contradicting=40) == ["people contradict each other on 40 answers"]


def test_classes() -> None:
    assert [group(score, three=True) for score in (0.0, 0.5, 1.0)] == [0, 1, 2]
    assert [group(score, three=False) for score in (0.0, 0.25, 0.5, 1.0)] == [0, 0, 1, 1]
