"""Limits narrow, are used up, and are handed down."""

from __future__ import annotations

import pytest

from penstock.agents.limits import Limits, Spent


def test_the_narrower_holds_in_everything() -> None:
    one, other = Limits(usd=1.0, turns=5), Limits(usd=0.5, tokens=100, turns=9)
    assert one.within(other) == other.within(one) == Limits(usd=0.5, tokens=100, turns=5)
    assert Limits(calls=3).filled() == Limits(calls=3, turns=50, depth=4)


@pytest.mark.parametrize(
    ("limits", "spent", "reached"),
    [
        (Limits(), Spent(cost=10**9, tokens=10**9, turns=10**6, calls=10**6, at=1e9), None),
        (Limits(usd=0.01), Spent(cost=9_999), None),
        (Limits(usd=0.01), Spent(cost=10_000), "usd"),
        (Limits(usd=0.0), Spent(), "usd"),
        (Limits(tokens=5), Spent(tokens=5), "tokens"),
        (Limits(seconds=60), Spent(began=100.0, at=160.0), "seconds"),
        (Limits(turns=2), Spent(turns=2), "turns"),
        (Limits(calls=2), Spent(calls=3), "calls"),
    ],
)
def test_reached(limits: Limits, spent: Spent, reached: str | None) -> None:
    assert spent.reached(limits) == reached


def test_what_is_left_is_shared_by_those_who_spend_it_at_once() -> None:
    limits = Limits(usd=1.0, tokens=100, seconds=60.0, turns=10, calls=9, depth=3)
    spent = Spent(cost=400_000, tokens=120, turns=3, calls=0, began=5.0, at=25.0)
    assert spent.left(limits, 2) == Limits(usd=0.3, tokens=0, seconds=40.0, turns=3, calls=4, depth=2)
    assert Spent().left(Limits()) == Limits()
