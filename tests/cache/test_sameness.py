from __future__ import annotations

import pytest

from penstock.cache.sameness import Equality, answer_of


@pytest.mark.parametrize(
    ("one", "other", "equality", "found"),
    [
        ("card_arrival", " Card_Arrival.\n", "text", True),
        ("a  b", "a b", "text", True),
        ("yes", "no", "text", False),
        ('{"a": 1, "b": [2]}', '```json\n{"b": [2], "a": 1}\n```', "json", True),
        ('{"a": 1}', '{"a": 2}', "json", False),
        ("no json", "No JSON", "json", True),
        ("16 - 7 = 9, so $18.", "It is 18", "number", True),
        ("1,200", "1200.0", "number", True),
        ("18", "19", "number", False),
        ("none", "18", "number", False),
    ],
)
def test_when_replies_are_the_same(one: str, other: str, equality: Equality, found: bool) -> None:
    assert (answer_of(one, equality) == answer_of(other, equality)) is found
