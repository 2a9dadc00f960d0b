"""Numbers."""

from __future__ import annotations

import pytest

from penstock.quality.examples import Item
from penstock.quality.graders.matching import Matcher
from penstock.quality.graders.numeric import Numeric, last_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("So it is $1,234.50.", 1234.5),
        ("#### 42", 42.0),
        ("from 3 to −7", -7.0),
        ("1e3", 1000.0),
        ("about .5", 0.5),
        ("1,23", 23.0),
        ("no number", None),
        ("9" * 400, None),
    ],
)
def test_the_last_number_of_a_text(text: str, number: float | None) -> None:
    assert last_number(text) == number


async def test_within_a_tolerance() -> None:
    matcher = Matcher()
    grader, loose = Numeric(matcher, pattern=None, tolerance=0), Numeric(matcher, pattern=r"x=(\S+)", tolerance=0.01)
    item = Item(id="a", input="?", target=100)
    assert [(await grader.grade(item, text)).score for text in ("100", "100.0", "99.9", "")] == [1.0, 1.0, 0.0, 0.0]
    assert [(await loose.grade(item, text)).score for text in ("x=99.5 and 7", "x=98", "100")] == [1.0, 0.0, 0.0]
    assert (await grader.grade(Item(id="a", input="?", target="many"), "1")).state == "unjudged"
    assert (await grader.grade(Item(id="a", input="?", target=0), "0")).score == 1.0
    await matcher.close()
