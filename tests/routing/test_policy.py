"""What a claim is about, and that a policy comes back from JSON as it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.routing.simulated import CHEAP, DEAR, policy, task

from penstock.kernel.tasks import Floor, Judge, SliceFloor
from penstock.routing.policy import Frozen, Policy, Standing, claim_of, floor_in_words


@pytest.mark.parametrize(
    "more",
    [
        {"floor": Floor(level=0.81, kind="absolute")},
        {"floor": Floor(level=0.8, kind="relative")},
        {"floor": Floor(level=0.8, kind="absolute", confidence=0.9)},
        {"floor": None},
        {"default": CHEAP},
        {"judge": Judge(kind="numeric", tolerance=0.1)},
        {"judge": None},
        {"slices": (SliceFloor(by="team", level=0.5),)},
    ],
)
def test_what_a_certificate_is_about_is_in_its_claim(more: dict[str, Any]) -> None:
    assert claim_of(task(**more)) != claim_of(task())


@pytest.mark.parametrize(
    "more", [{"candidates": (CHEAP, DEAR, "a/b")}, {"mode": "cascade"}, {"owner": "x"}, {"explore": 0.5}, {"sample": 1.0}]
)
def test_what_it_is_not_about_is_not(more: dict[str, Any]) -> None:
    assert claim_of(task(**more)) == claim_of(task())


def test_a_named_reference_is_the_claim_whatever_the_default() -> None:
    floor = Floor(level=0.9, reference=DEAR)
    assert claim_of(task(floor=floor, default=CHEAP)) == claim_of(task(floor=Floor(level=0.9), default=DEAR))


def test_a_policy_comes_back_as_it_was() -> None:
    standing = Standing(candidate=CHEAP, labels=3, quality=0.5, low=0.1, high=0.9, bound=0.0, certified=False)
    frozen = Frozen(candidates=(CHEAP, DEAR), costs=(1.0, 2.0), singles=(DEAR, CHEAP), thresholds=(-2.0, 2.0), pair=(CHEAP, DEAR))
    made = policy(standings=(standing,), frozen=frozen, threshold=-2.0, kind="cascade")
    assert msgspec.json.decode(msgspec.json.encode(made), type=Policy) == made
    assert made.standing(CHEAP) == standing
    assert made.standing("nobody") is None


def test_floors_are_said_in_words() -> None:
    assert floor_in_words(Floor(level=0.955, kind="absolute", confidence=0.9), DEAR) == "at least 95.5% right, at 90% confidence"
    assert floor_in_words(Floor(level=0.9, reference="x/y"), DEAR) == "at least 90.0% as good as x/y, at 95% confidence"
