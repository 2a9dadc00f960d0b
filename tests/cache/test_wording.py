from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cache.wording import signs, wording_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many eggs are 12 and 3?", "How many eggs are 13 and 3?"),
        ("pay 3 to 5", "pay 5 to 3"),
        ("it costs $1.50", "it costs $1.05"),
        ("can I cancel", "can I not cancel"),
        ("it works", "it doesn't work"),
        ("two apples", "three apples"),
        ("more than Ann", "less than Ann"),
        ("how old is Ann", "how old is Bob"),
        ("twice as much", "half as much"),
        ("before lunch", "after lunch"),
    ],
)
def test_what_changes_the_answer_is_seen(one: str, other: str) -> None:
    assert wording_of(one) != wording_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I get a new PIN?", "Please, how can I get another PIN?"),
        ("It costs 1,000 dollars", "it is 1000 dollars"),
        ("Where is my card", "where's the card?"),
        ("I have two cards", "i have 2 cards"),
        ("it doesn’t work", "it does not work"),
        ("Ask Ann. Then go", "Then ask Ann"),
    ],
)
def test_what_does_not_is_not(one: str, other: str) -> None:
    assert wording_of(one) == wording_of(other), (signs(one), signs(other))


@given(st.text())
def test_any_text_has_a_wording(text: str) -> None:
    assert wording_of(text) == wording_of(text)


def test_half_a_surrogate_has_one_too() -> None:
    assert wording_of("Ann \ud800") == wording_of("Ann \ud801")
